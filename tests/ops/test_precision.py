"""The dtype to compute in, for the dtypes of every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.ops.precision import at_least_float32

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32", "bool"])
def test_what_is_narrow_is_widened(dtype):
    assert at_least_float32(ops.ones((1,), dtype=dtype).dtype) == "float32"


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 unless asked")
def test_float64_stays(rng):
    x = ops.convert_to_tensor(rng.normal(size=3))
    assert at_least_float32(x.dtype) == "float64"
    assert at_least_float32("float16", x.dtype) == "float64"
    assert at_least_float32(np.dtype("float64"), "bfloat16") == "float64"
