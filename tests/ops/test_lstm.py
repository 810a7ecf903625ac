"""Row statistics and one step of the layer-normalized LSTM, away from any layer."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from oracles.lstm import layer_norm_lstm

from keras_arch.ops.lstm import Norm, layer_norm_lstm_step, standardize

pytestmark = pytest.mark.backend


def test_rows_have_mean_zero_and_variance_one(rng):
    got = ops.convert_to_numpy(standardize(ops.convert_to_tensor(rng.normal(3.0, 5.0, (4, 64)).astype("float32")), 0.0))
    np.testing.assert_allclose(got.mean(axis=-1), 0.0, atol=1e-6)
    np.testing.assert_allclose(got.var(axis=-1), 1.0, rtol=1e-5)


def test_a_constant_row_becomes_zeros():
    got = ops.convert_to_numpy(standardize(ops.full((2, 8), 7.0), 1e-3))
    np.testing.assert_array_equal(got, 0.0)


def test_a_large_mean_does_not_swallow_a_small_variance():
    row = 1000.0 + np.array([[-0.5, 0.5, -0.5, 0.5]], "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(standardize(ops.convert_to_tensor(row), 0.0)), 2 * (row - 1000.0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_rows_are_normalized_in_float32(dtype):
    row = ops.cast(ops.convert_to_tensor([[-30000.0, 10000.0, 20000.0, 40000.0]]), dtype)
    exact = np.asarray(ops.convert_to_numpy(ops.cast(row, "float32")), "float64")
    got = standardize(row, 1e-3)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    np.testing.assert_allclose(ops.convert_to_numpy(got), (exact - exact.mean()) / exact.std(), rtol=1e-5)


def test_a_step_equals_the_loop(rng):
    units = 3
    norms = [rng.normal(size=size).astype("float32") for size in (12, 12, 12, 12, 3, 3)]
    x, h, c = (rng.normal(size=shape).astype("float32") for shape in [(2, 1, 12), (2, units), (2, units)])
    recurrent, bias = rng.normal(size=(units, 12)).astype("float32"), rng.normal(size=12).astype("float32")
    _, expected_h, expected_c = layer_norm_lstm(x, [np.eye(12), recurrent, bias, *norms], 1e-2, h, c)
    as_tensors = [ops.convert_to_tensor(v) for v in norms]
    got_h, got_c = layer_norm_lstm_step(
        ops.convert_to_tensor(x[:, 0]),
        ops.matmul(h, recurrent),
        ops.convert_to_tensor(c),
        ops.convert_to_tensor(bias),
        tuple(Norm(*as_tensors[i : i + 2]) for i in (0, 2, 4)),
        1e-2,
        ops.tanh,
        ops.sigmoid,
    )
    np.testing.assert_allclose(ops.convert_to_numpy(got_h), expected_h, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(got_c), expected_c, rtol=1e-4, atol=1e-6)


def test_without_bias_is_with_a_bias_of_zeros():
    norms = tuple(Norm(ops.ones((size,)), ops.zeros((size,))) for size in (8, 8, 2))
    arguments = ops.reshape(ops.arange(8, dtype="float32"), (1, 8)), ops.ones((1, 8)), ops.ones((1, 2))
    one, other = (
        layer_norm_lstm_step(*arguments, bias, norms, 1e-3, ops.tanh, ops.sigmoid) for bias in (None, ops.zeros((8,)))
    )
    for got, expected in zip(one, other, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(got), ops.convert_to_numpy(expected))
    assert not math.isclose(float(one[0][0, 0]), 0.0)
