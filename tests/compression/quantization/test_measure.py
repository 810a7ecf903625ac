"""Figures of each layer against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.fake_quant import fake_quant_loop, nudged

from keras_arch.compression import Scheme, calibrate, quantize
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


def test_saturation_counts_what_percentiles_clip(rng):
    kernel = rng.normal(size=(40, 25)).astype("float32")
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(25, use_bias=False)])
    model.layers[0].kernel.assign(kernel)
    bound = np.abs(kernel).max()
    assert measure(quantize(model)).layers[0].saturation == pytest.approx(1 / 1000), "the largest value is an end"
    row = measure(quantize(model, Scheme(8, narrow=True, observer="mse"))).layers[0]
    assert row.saturation <= 0.01
    row = measure(quantize(model, Scheme(2, narrow=True, observer="mse"))).layers[0]
    share = [np.mean(np.abs(kernel) >= bound * (1 - i / 40)) for i in range(40)]
    assert row.saturation == pytest.approx(min(share, key=lambda part: abs(part - row.saturation)), abs=0.0011)
    assert row.saturation > 0.1


def test_activations_of_samples_are_compared_with_their_rounding(rng):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, activation="relu", name="d")])
    x = rng.normal(size=(50, 4)).astype("float32")
    q = calibrate(quantize(model, activations=4), x[:20], batch_size=20)
    q.get_layer("d").quantization_phase = "observe"  # so that what is rounded is known without rounding before
    before = [ops.convert_to_numpy(weight).copy() for weight in q.weights]
    (row,) = measure(q, 3 * x, batch_size=16).layers
    signal = noise = ends = count = 0
    for name, values in (("input_0", 3 * x), ("output_0", model.predict(3 * x, verbose=0))):
        low, high = (float(ops.convert_to_numpy(end)) for end in q.get_layer("d").ranges[name])
        first, last, _ = nudged(low, high, 4, False)
        error = values - fake_quant_loop(values, low, high, 4, False)
        signal, noise, count = signal + (values**2).sum(), noise + (error**2).sum(), count + values.size
        ends += (values >= last).sum() + (values <= first).sum() * (first < 0)
    assert row.activation_mean_squared_error == pytest.approx(noise / count, rel=1e-4)
    assert row.activation_sqnr_db == pytest.approx(10 * np.log10(signal / noise), rel=1e-4)
    assert row.activation_saturation == pytest.approx(ends / count, abs=1e-6)
    assert 0.05 < row.activation_saturation < 0.5
    assert q.get_layer("d").listener is None
    for weight, value in zip(q.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)


def test_a_fixed_output_range_is_measured_too(rng):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="sigmoid")])
    x = 50 * rng.normal(size=(20, 4)).astype("float32")
    q = calibrate(quantize(model), x)
    assert measure(q, x).layers[0].activation_saturation > 0.05


def test_activations_are_measured_on_samples_only(rng):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    q = quantize(model)
    row = measure(q).layers[0]
    assert row.activation_sqnr_db is row.activation_mean_squared_error is row.activation_saturation is None
    with pytest.raises(ValueError, match="must have seen data before its ranges are used"):
        measure(q, np.ones((2, 4)))
    with pytest.raises(ValueError, match="samples must have the shape"):
        measure(q, np.ones((2, 3)))
