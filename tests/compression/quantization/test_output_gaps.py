"""Gaps are counted in steps of the output's grid, and in its own unit."""

import keras
import numpy as np
import pytest

from keras_arch.compression import calibrate, quantize
from keras_arch.compression.quantization.output_gaps import gap, output_gaps


def test_gaps_are_counted_in_steps():
    expected, got = np.float32([[0.0, 1.0, 2.0], [1.0, 0.0, 0.0]]), np.float32([[0.5, 1.0, 2.0], [0.0, 1.5, 0.0]])
    found = gap(("y", 0.5), expected, got)
    assert (found.step, found.max_steps, found.mean_steps, found.argmax_agreement) == (0.5, 3.0, 1.0, 0.5)
    assert (found.max_difference, found.relative_difference) == (1.5, 0.75)
    assert gap(("y", None), expected, got).step == pytest.approx(2 / 255)


def test_outputs_of_zeros_have_no_gap():
    found = gap(("y", None), np.zeros((2, 3), "float32"), np.zeros((2, 3), "float32"))
    assert (found.max_steps, found.relative_difference) == (0.0, 0.0)


def test_the_step_follows_layers_that_move_values():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(6, name="d")(inputs)
    model = keras.Model(inputs, keras.layers.Reshape((2, 3), name="moved")(x))
    samples = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    q = calibrate(quantize(model), samples)
    expected = q.predict(samples, verbose=0)
    step = np.diff(np.unique(expected)).min()
    (found,) = output_gaps(q, [samples], [expected + np.float32(step)])
    assert found.name == "moved"
    assert found.step == pytest.approx(step, rel=1e-3)
    assert found.max_steps == pytest.approx(1.0, abs=2e-3)
