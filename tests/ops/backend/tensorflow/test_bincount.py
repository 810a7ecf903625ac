"""Sums by bin equal NumPy's, compiled or not, and are compiled once for any data."""

import numpy as np
import pytest
import tensorflow as tf

from keras_arch.ops.backend.tensorflow.bincount import bincount


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_and_counts_equal_numpy(rng, dtype, jit_compile):
    index, weights = rng.integers(0, 5, 200).astype("int32"), rng.normal(size=200).astype(dtype)
    function = tf.function(bincount, jit_compile=jit_compile)
    sums, counts = function(index, 7, tf.constant(weights)), function(index, 7)
    np.testing.assert_allclose(sums, np.bincount(index, weights, 7), rtol=1e-4 if dtype == "float32" else 1e-9)
    np.testing.assert_array_equal(counts, np.bincount(index, minlength=7))
    assert sums.dtype == dtype
    assert counts.dtype == "int32"
