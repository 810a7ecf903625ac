"""Figures of each layer against NumPy."""

import keras
import numpy as np
import pytest
from oracles.fake_quant import fake_quant_loop

from keras_arch.compression import calibrate, quantize
from keras_arch.compression.quantization import measure

pytestmark = pytest.mark.backend


def test_rows_equal_their_definitions(rng):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, name="d"),
            keras.layers.ReLU(name="r"),
            keras.layers.Flatten(name="f"),
        ]
    )
    kernel = rng.normal(size=(4, 5)).astype("float32")
    kernel[0] = 0
    model.get_layer("d").kernel.assign(kernel)
    x = rng.normal(size=(30, 4)).astype("float32")
    dense, relu = measure(calibrate(quantize(model, weights=4), x, batch_size=30)).layers
    error = kernel - fake_quant_loop(kernel, -np.abs(kernel).max(), np.abs(kernel).max(), 4, True)
    assert (dense.path, dense.weight_bits, dense.activation_bits, dense.low) == ("d", 4, 8, None)
    np.testing.assert_allclose(dense.mean_squared_error, np.mean(error**2), rtol=1e-4)
    np.testing.assert_allclose(dense.sqnr_db, 10 * np.log10(np.sum(kernel**2) / np.sum(error**2)), rtol=1e-4)
    assert dense.zeros >= 0.2
    assert (relu.path, relu.weight_bits, relu.sqnr_db, relu.low) == ("r", None, None, 0.0)
    np.testing.assert_allclose(relu.high, np.maximum(x @ kernel, 0).max(), rtol=1e-5)


def test_a_range_that_was_not_observed_is_none():
    rows = measure(quantize(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))).layers
    assert (rows[0].low, rows[0].high) == (None, None)


def test_a_kernel_on_its_grid_has_no_noise():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    row = measure(quantize(model)).layers[0]
    assert row.sqnr_db == float("inf")
    model.layers[0].kernel.assign(np.zeros((2, 1)))
    assert measure(quantize(model)).layers[0].zeros == 1.0
