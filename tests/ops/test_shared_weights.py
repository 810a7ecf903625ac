"""Joined gradients and values, against a loop over the clusters."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.clustering import distinct, joined

from keras_arch.ops.shared_weights import joined_gradient, joined_value

pytestmark = pytest.mark.backend
TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-2, "float16": 2e-3}


def numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("index_dtype", ["uint8", "int32"])
@pytest.mark.parametrize("mean", [False, True])
def test_gradients_are_joined_as_by_a_loop(dtype, index_dtype, mean, rng):
    x, index = ops.cast(rng.normal(size=(4, 3, 5)), dtype), rng.integers(0, 6, size=(4, 3, 5)).astype(index_dtype)
    got = joined_gradient(x, index, 6, mean)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    np.testing.assert_allclose(numpy(got), joined(numpy(x), index, mean), atol=5 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_values_are_means_and_as_many_as_clusters(dtype, rng):
    x, index = ops.cast(rng.normal(size=(40, 30)), dtype), rng.integers(0, 7, size=(40, 30)).astype("uint8")
    got = joined_value(x, index, 9)  # two clusters have no members
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    np.testing.assert_allclose(numpy(got), joined(numpy(x), index, mean=True), atol=2 * TOLERANCE[dtype])
    assert distinct(numpy(got)) == 7


def test_a_million_equal_numbers_keep_their_value_to_the_last_bit():
    x = np.full(1_000_000, 0.1, "float32")
    np.testing.assert_array_equal(numpy(joined_value(x, np.zeros(len(x), "uint8"), 1)), x)


def test_joined_values_stay_as_they_are(rng):
    index = rng.integers(0, 5, size=999).astype("uint8")
    once = joined_value(rng.normal(size=999).astype("float32"), index, 5)
    np.testing.assert_array_equal(numpy(joined_value(once, index, 5)), numpy(once))


def test_the_sum_is_the_gradient_of_the_shared_values(rng):
    # f(c) = Σ a[i] sin(c[index[i]]); df/dc_k along a direction, by finite differences.
    a, index, c = rng.normal(size=20), rng.integers(0, 3, size=20), rng.normal(size=3)
    loss = lambda c: (a * np.sin(c[index])).sum()  # noqa: E731
    got = numpy(joined_gradient((a * np.cos(c[index])).astype("float32"), index, 3))
    direction, step = rng.normal(size=3), 1e-5
    along = (loss(c + step * direction) - loss(c - step * direction)) / (2 * step)
    assert sum(got[np.argmax(index == k)] * direction[k] for k in range(3)) == pytest.approx(along, rel=1e-4)
