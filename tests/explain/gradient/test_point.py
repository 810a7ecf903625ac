"""What is read at a point."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.explain.gradient.point import Reading
from keras_arch.explain.place import look
from keras_arch.explain.probe import Probe

pytestmark = pytest.mark.backend


def read(reading, point, gradient):
    tensors = keras.tree.map_structure(ops.convert_to_tensor, (point, gradient))
    return keras.tree.map_structure(ops.convert_to_numpy, reading(*tensors))


def test_readings(rng):
    point, gradient = rng.normal(size=(2, 2, 3)).astype("float32")
    np.testing.assert_array_equal(read(Reading(), point, gradient), gradient)
    np.testing.assert_array_equal(read(Reading(absolute=True), point, gradient), abs(gradient))
    np.testing.assert_allclose(read(Reading(times_point=True), point, gradient), point * gradient)


def test_a_list_is_several_inputs_or_several_calls(rng):
    gradients = list(rng.normal(size=(2, 2, 3)).astype("float32"))
    np.testing.assert_array_equal(read(Reading(), gradients, gradients), gradients)
    merged = read(Reading(absolute=True, merges=True), gradients, gradients)
    np.testing.assert_allclose(merged, abs(gradients[0] + gradients[1]))
    assert Reading(merges=True).shaped(gradients).shape == (2, 3)
    with pytest.raises(ValueError, match="one shape at all of its 2 calls"):
        read(Reading(merges=True), [gradients[0], gradients[1][:, :2]], [gradients[0], gradients[1][:, :2]])


def test_a_probe_looks_at_the_inputs_unless_told_otherwise():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="one"), keras.layers.Dense(1)])
    x = np.ones((1, 2), "float32")
    assert look(Probe(model), x, None)[1] is None
    probe, path = look(Probe(model), x, model.layers[0])
    assert path == "one"
    assert probe.values(x).shape == (1, 3)
