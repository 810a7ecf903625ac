"""Features and the positions that belong to them."""

import json

import keras
import numpy as np
import pytest

from keras_arch.explain.perturbation.segments import Elements, Patches, Positions, Superpixels, segment

pytestmark = pytest.mark.backend


def test_patches_of_a_picture_by_hand():
    want = [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
    np.testing.assert_array_equal(Patches(2)(np.zeros((3, 5, 1))), want)
    np.testing.assert_array_equal(Patches((3, 1))(np.zeros((3, 5, 1))), np.tile(np.arange(5), (3, 1)))
    np.testing.assert_array_equal(Patches(4)(np.zeros((6, 2))), [0, 0, 0, 0, 1, 1])
    assert Patches(2)(np.zeros((4, 4, 4, 1))).max() == 7


def test_positions_join_channels_and_elements_do_not():
    x = np.zeros((2, 3, 4, 2))
    got = segment(Positions(), x)
    np.testing.assert_array_equal(got.labels[0][0, ..., 0], np.arange(12).reshape(3, 4))
    assert got.labels[0].shape == (1, 3, 4, 1)
    assert got.counts.tolist() == [12, 12]
    assert segment(Elements(), x).counts.tolist() == [24, 24]
    assert segment(Positions(), np.zeros((2, 7), "int32")).counts.tolist() == [7, 7]


def test_channels_first_gives_the_same_features():
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    first = np.moveaxis(x, -1, 1)
    for segments in (Patches(3), Positions(), Elements(), Superpixels(6), None):
        last = segment(segments, x, "channels_last").labels[0]
        other = segment(segments, first, "channels_first").labels[0]
        np.testing.assert_array_equal(np.moveaxis(other, 1, -1), last)


def test_superpixels_are_those_of_each_image():
    x = np.zeros((2, 4, 8, 1), "float32")
    x[0, :, 4:] = 1
    x[1, :, 2:] = 1
    got = segment(Superpixels(2, compactness=0.1), x)
    assert len(got.labels[0]) == 2
    for sample, where in ((0, 4), (1, 2)):
        labels = got.labels[0][sample, ..., 0]
        assert set(labels[:, :where].ravel()).isdisjoint(labels[:, where:].ravel())


def test_without_a_setting_images_take_superpixels_and_tables_and_tokens_positions(rng):
    image, table, tokens = rng.normal(size=(2, 20, 20, 3)), np.zeros((2, 5)), np.zeros((2, 4), "int32")
    got = segment(None, [image, table, tokens])
    np.testing.assert_array_equal(got.labels[0], segment(Superpixels(), image).labels[0])
    start = got.labels[0].reshape(2, -1).max(1) + 1
    np.testing.assert_array_equal(got.labels[1], start[:, None] + np.arange(5))
    np.testing.assert_array_equal(got.labels[2], start[:, None] + 5 + np.arange(4))
    np.testing.assert_array_equal(got.counts, start + 9)


def test_functions_are_called_with_channels_last_and_their_labels_are_numbered_without_gaps():
    seen = []

    def halves(sample):
        seen.append(sample.shape)
        return np.where(np.arange(6) < 3, 7, -2)

    got = segment(halves, np.zeros((2, 3, 6)), "channels_first")
    assert seen == [(6, 3)] * 2
    np.testing.assert_array_equal(got.labels[0], [[[1, 1, 1, 0, 0, 0]]] * 2)
    vector = segment(lambda sample: np.arange(sample.size).reshape(sample.shape) // 2, np.zeros((1, 4)))
    np.testing.assert_array_equal(vector.labels[0], [[0, 0, 1, 1]])


def test_arrays_of_labels_may_be_shared_or_of_each_sample_and_join_inputs():
    x = np.zeros((3, 2, 2, 4))
    shared = np.array([[5, 5], [9, 2]])
    want = np.array([[1, 1], [2, 0]])
    for array in (shared, shared[..., None], shared.tolist()):
        got = segment(array, x)
        np.testing.assert_array_equal(got.labels[0], want[None, ..., None])
        assert got.counts.tolist() == [3, 3, 3]
    each = np.stack([shared, np.zeros((2, 2), int), shared])
    assert segment(each, x).counts.tolist() == [3, 1, 3]
    whole = np.arange(16).reshape(2, 2, 4)
    np.testing.assert_array_equal(segment(whole, x).labels[0][0], whole)
    both = segment({"a": np.array([0, 1]), "b": np.array([1, 1, 4])}, {"a": np.zeros((3, 2)), "b": np.zeros((3, 3))})
    assert [leaf[0].tolist() for leaf in both.labels] == [[0, 1], [1, 1, 2]]
    assert both.counts.tolist() == [3, 3, 3]


def test_numbers_of_features_are_spread_over_their_positions(rng):
    x = [np.zeros((2, 2, 3)), np.zeros((2, 2))]
    got = segment([Positions(), Positions()], x)
    features = rng.normal(size=(2, 4))
    image, table = got.spread(features, x)
    np.testing.assert_allclose(image, np.repeat(features[:, :2, None], 3, 2).astype("float32"))
    np.testing.assert_allclose(table, features[:, 2:].astype("float32"))
    assert image.dtype == np.float32
    maps = got.maps(x)
    assert [leaf.shape for leaf in maps] == [(2, 2, 1), (2, 2)]
    np.testing.assert_allclose(got.pick(np.array([1])).spread(features[1:], [leaf[1:] for leaf in x])[0], image[1:])


@pytest.mark.parametrize("value", [Superpixels(7, 2.0), Patches((4, 2)), Positions(), Elements()])
def test_values_come_back_from_json(value):
    text = json.dumps(keras.saving.serialize_keras_object(value))
    assert keras.saving.deserialize_keras_object(json.loads(text)) == value


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Superpixels(0), "count must be an integer >= 1"),
        (lambda: Superpixels(5, 0.0), "compactness must be a number in"),
        (lambda: Patches(0), "size must be an integer >= 1"),
        (lambda: Patches((2, 2, 2))(np.zeros((4, 4, 1))), "size must have one number for each of the 2 axes"),
        (
            lambda: segment(np.zeros((3, 3), int), np.zeros((2, 4, 4, 1))),
            r"segments must be whole .* \(4, 4\) .* \(3, 3\)",
        ),
        (lambda: segment(np.zeros((4, 4)), np.zeros((2, 4, 4, 1))), "received float64 of shape"),
        (lambda: segment(lambda sample: sample[..., 0], np.zeros((2, 4, 4, 1))), "as a function, return whole numbers"),
        (lambda: segment([Positions()], [np.zeros((2, 4))] * 2), "segments must be nested like the inputs"),
        (lambda: segment([Positions(), np.arange(4)], [np.zeros((2, 4))] * 2), "must not mix label arrays"),
    ],
)
def test_what_does_not_fit_is_named(make, match):
    with pytest.raises(ValueError, match=match):
        make()
