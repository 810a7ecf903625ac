import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.activations import lisht

pytestmark = pytest.mark.backend


def test_it_is_x_tanh_x(rng):
    x = 5 * rng.standard_normal((7, 3)).astype("float32")
    expected = x * np.tanh(x.astype("float64"))
    np.testing.assert_allclose(ops.convert_to_numpy(lisht(x)), expected, rtol=2e-6, atol=1e-7)


def test_it_is_even_and_not_negative(rng):
    x = np.concatenate([rng.standard_normal(50), 1e-4 * rng.standard_normal(50), [0.0, 1e30]]).astype("float32")
    got = ops.convert_to_numpy(lisht(x))
    np.testing.assert_array_equal(got, ops.convert_to_numpy(lisht(-x)))
    assert (got >= 0).all()
    assert got[-1] == np.float32(1e30)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 unless asked")
def test_float64_stays_float64():
    got = lisht(ops.convert_to_tensor(np.array([1 / 3])))
    assert keras.backend.standardize_dtype(got.dtype) == "float64"
    np.testing.assert_allclose(ops.convert_to_numpy(got), np.tanh(1 / 3) / 3, rtol=1e-14)
