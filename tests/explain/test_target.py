"""Targets: what they pick, and what they refuse."""

import keras
import numpy as np
import pytest

from keras_arch.explain import target

pytestmark = pytest.mark.backend

MATRIX = keras.KerasTensor((1, 4))
MAP = keras.KerasTensor((1, 2, 3, 4))
SEVERAL = {"cls": MATRIX, "box": [keras.KerasTensor((1, 2)), keras.KerasTensor((1,))]}


def scored(wanted, shapes, outputs):
    samples = len(keras.tree.flatten(outputs)[0])
    parts = target.select(wanted, shapes, samples)
    return keras.ops.convert_to_numpy(target.score(parts, [part.value for part in parts], outputs))


def test_each_form_picks_its_scalar_out_of_a_matrix(rng):
    y = rng.normal(size=(3, 4)).astype("float32")
    rows = np.arange(3)
    np.testing.assert_array_equal(scored(None, MATRIX, y), y.max(1))
    np.testing.assert_array_equal(scored(2, MATRIX, y), y[:, 2])
    np.testing.assert_array_equal(scored(np.int64(2), MATRIX, y), y[:, 2])
    np.testing.assert_array_equal(scored([3, 0, 1], MATRIX, y), y[rows, [3, 0, 1]])
    np.testing.assert_array_equal(scored((1,), MATRIX, y), y[:, 1])
    weights = rng.normal(size=4)
    np.testing.assert_allclose(scored(weights, MATRIX, y), y @ weights, rtol=1e-5, atol=1e-6)
    each = rng.normal(size=(3, 4))
    np.testing.assert_allclose(scored(each, MATRIX, y), (y * each).sum(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scored(lambda out: out[:, 0] * out[:, 1], MATRIX, y), y[:, 0] * y[:, 1], rtol=1e-6)


def test_each_form_picks_its_scalar_out_of_a_map(rng):
    y = rng.normal(size=(2, 2, 3, 4)).astype("float32")
    for index in np.ndindex(2, 3, 4):
        np.testing.assert_array_equal(scored(index, MAP, y), y[(slice(None), *index)])
    np.testing.assert_array_equal(scored([[0, 1, 2], [1, 2, 3]], MAP, y), [y[0, 0, 1, 2], y[1, 1, 2, 3]])
    mask = rng.normal(size=(2, 3, 4))
    np.testing.assert_allclose(scored(mask, MAP, y), (y * mask).sum((1, 2, 3)), rtol=1e-5, atol=1e-6)


def test_an_output_of_one_unit_is_its_own_target(rng):
    y = rng.normal(size=(3, 1)).astype("float32")
    np.testing.assert_array_equal(scored(None, keras.KerasTensor((1, 1)), y), y[:, 0])
    np.testing.assert_array_equal(scored(None, keras.KerasTensor((1,)), y[:, 0]), y[:, 0])


def test_targets_of_several_outputs_add_up(rng):
    outputs = {"cls": rng.normal(size=(3, 4)), "box": [rng.normal(size=(3, 2)), rng.normal(size=3)]}
    outputs = keras.tree.map_structure(lambda leaf: leaf.astype("float32"), outputs)
    got = scored({"cls": 1, "box": {0: 1}}, SEVERAL, outputs)
    np.testing.assert_allclose(got, outputs["cls"][:, 1] + outputs["box"][0][:, 1], rtol=1e-6)
    got = scored({"box": [1, None]}, SEVERAL, outputs)
    np.testing.assert_allclose(got, outputs["box"][0][:, 1] + outputs["box"][1], rtol=1e-6)
    got = scored(lambda out: out["box"][1] * 2, SEVERAL, outputs)
    np.testing.assert_allclose(got, outputs["box"][1] * 2, rtol=1e-6)


def test_a_prediction_is_settled_and_recorded():
    y = np.array([[0.0, 2.0, 1.0, 0.0], [5.0, 2.0, 1.0, 0.0]], "float32")
    settled = target.settle(target.select(None, MATRIX, 2), y)
    assert target.record(settled).tolist() == [1, 0]
    values = np.array([3.0, 4.0], "float32")
    settled = target.settle(target.select(None, keras.KerasTensor((1,)), 2), values)
    np.testing.assert_array_equal(target.score(settled, [part.value for part in settled], values), values)
    both = target.settle(target.select({"cls": None, "box": {1: None}}, SEVERAL, 2), {"cls": y, "box": [None, values]})
    assert target.record(both)["cls"].tolist() == [1, 0]


def test_records_say_what_was_explained():
    assert target.record(target.select((0, 1, 2), MAP, 2)).tolist() == [[0, 1, 2], [0, 1, 2]]
    assert target.record(target.select(np.ones(4), MATRIX, 2)).shape == (2, 4)
    assert target.record(target.select(keras.ops.sum, MATRIX, 2)) == "sum"


@pytest.mark.parametrize(
    ("wanted", "shapes", "match"),
    [
        (4, MATRIX, r"target must lie within 0..3 on axis 0 of the output .* received target=4. .* below 4"),
        (-1, MATRIX, r"target must lie within 0..3"),
        ((0, 3, 0), MAP, r"target must lie within 0..2 on axis 1"),
        (1, MAP, r"target must give one index for each of the 3 axes .* Pass a tuple of 3 indices"),
        (None, MAP, "it has no one predicted class"),
        ([1, 2, 3], MATRIX, "one index per sample, 2 in all; received 3"),
        (np.ones(3), MATRIX, r"finite float weights of shape \(4,\) or \(2, 4\).*an array of shape \(3,\)"),
        (np.full(4, np.nan), MATRIX, "finite float weights"),
        (np.ones(4, bool), MATRIX, "target must be None, an int"),
        (True, MATRIX, "target must be None, an int"),
        ("cat", MATRIX, "received target='cat'"),
        (1.5, MATRIX, "received target=1.5"),
        (0, SEVERAL, r"this model has several: \['cls', 'box'\].*target={'cls': 0}"),
        (None, SEVERAL, "target must say which outputs count"),
        ({"klass": 0}, SEVERAL, "received target={'klass': 0}"),
        ({}, SEVERAL, "target must say which outputs count"),
    ],
)
def test_a_target_that_picks_no_scalar_is_refused(wanted, shapes, match):
    with pytest.raises(ValueError, match=match):
        target.select(wanted, shapes, 2)


@pytest.mark.parametrize("function", [lambda out: out, lambda out: keras.ops.sum(out), lambda out: 3])
def test_a_function_must_return_one_number_per_sample(function):
    with pytest.raises(ValueError, match=r"one number per sample, shape \(2,\); it returned"):
        scored(function, MATRIX, keras.ops.ones((2, 4)))
