"""One sample taken out of attributions of every structure."""

import numpy as np
import pytest

from keras_arch.explain import Attribution
from keras_arch.plots.samples import sample


def made(values, inputs, target=None):
    scores = np.arange(2.0, dtype="float32")
    return Attribution(values, inputs, target, np.zeros((2, 3)), scores)


def test_channels_add_up_and_the_target_is_named(rng):
    values, inputs = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(2, 4, 5, 3))
    one = sample(made(values, inputs, np.array([7, 8])), 1)
    np.testing.assert_allclose(one.heat, values[1].sum(-1))
    np.testing.assert_array_equal(one.image, inputs[1])
    assert (one.target, one.score, one.is_map) == ("8", 1.0, True)


def test_of_several_inputs_the_picture_is_taken(rng):
    table, images = rng.normal(size=(2, 6)), rng.normal(size=(2, 4, 4, 1))
    one = sample(made({"a": table, "b": images}, {"a": table + 1, "b": images + 1}), 0)
    np.testing.assert_allclose(one.heat, images[0, ..., 0])
    np.testing.assert_allclose(one.image, images[0] + 1)
    cam = sample(made(images, {"a": table, "b": images + 2}), 0)
    np.testing.assert_allclose(cam.image, images[0] + 2)


def test_sequences_and_vectors_become_one_number_per_position(rng):
    values = rng.normal(size=(2, 5, 3))
    one = sample(made(values, np.ones((2, 5), int)), 1)
    np.testing.assert_allclose(one.heat, values[1].sum(-1))
    assert one.image.tolist() == [1] * 5
    assert not one.is_map
    vector = sample(made(values[..., 0], values[..., 1]), 0)
    np.testing.assert_array_equal(vector.heat, values[0, :, 0])


def test_volumes_are_refused():
    with pytest.raises(ValueError, match="attribution must be of pictures, sequences or vectors"):
        sample(made(np.ones((2, 2, 2, 2, 1)), np.ones((2, 2, 2, 2, 1))), 0)
