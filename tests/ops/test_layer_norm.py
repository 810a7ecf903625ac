"""Row statistics of layer normalization."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.ops.layer_norm import scaled, standardize

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


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_scaled_is_standardized_times_a_gain(rng, dtype):
    x, gamma = (ops.convert_to_tensor(rng.normal(size=shape).astype(dtype)) for shape in ((2, 3, 5), (5,)))
    got = scaled(x, gamma, 1e-2)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    expected = standardize(x, 1e-2) * ops.cast(gamma, "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(got), ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-6)
