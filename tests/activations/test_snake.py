import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.activations import snake

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("a", [0.2, 1, 5.0, 50.0])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_it_is_the_formula(a, as_tensor, rng):
    x = 3 * rng.standard_normal((7, 3)).astype("float32")
    expected = x + np.sin(a * x.astype("float64")) ** 2 / a
    got = values(snake(x, np.full(3, a, "float32") if as_tensor else a))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_it_never_falls(rng):
    x = np.sort(20 * rng.standard_normal(2000)).astype("float32")
    y = values(snake(x, 3.0))
    assert (np.diff(y) >= -4e-6).all()  # rounding of numbers up to 60
    assert ((y - x >= -4e-6) & (y - x <= 1 / 3 + 4e-6)).all()


@pytest.mark.parametrize("a", [1e-6, 1e-20, 2.0**-126])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_a_small_frequency_leaves_the_input(a, as_tensor):
    x = np.array([-30.0, -1.0, 0.0, 2.0, 40.0], "float32")
    got = values(snake(x, np.float32([a]) if as_tensor else a))
    np.testing.assert_allclose(got, x + a * x.astype("float64") ** 2, rtol=1e-6)


def test_frequency_zero_is_the_identity():
    x = np.array([-1e30, -2.0, 0.0, 1.0, 1e30], "float32")
    np.testing.assert_array_equal(values(snake(x, np.zeros(1, "float32"))), x)


def test_phases_of_half_precision_are_those_of_float32():
    x = ops.cast(np.arange(1000.0, 1064.0), "float16")
    error = values(snake(x, 0.7)) - (np.arange(1000.0, 1064.0) + np.sin(0.7 * np.arange(1000.0, 1064.0)) ** 2 / 0.7)
    assert np.abs(error).max() <= 0.51  # the numbers of float16 beyond 1024 are 1 apart


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 unless asked")
@pytest.mark.parametrize("a", [0.5, np.float32([0.5])])
def test_float64_stays_float64(a):
    got = snake(ops.convert_to_tensor(np.array([1 / 3])), a)
    assert keras.backend.standardize_dtype(got.dtype) == "float64"
    np.testing.assert_allclose(ops.convert_to_numpy(got), 1 / 3 + 2 * np.sin(1 / 6) ** 2, rtol=1e-14)


@pytest.mark.parametrize("a", [0, 1e-38, -1.0, float("nan"), float("inf")])
def test_a_number_that_is_not_positive_is_refused(a):
    with pytest.raises(ValueError, match="a must be a number in"):
        snake(np.ones(2, "float32"), a)
