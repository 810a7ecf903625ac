import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.core.initializer import cloned, rounded

pytestmark = pytest.mark.backend


def test_copies_give_kernels_of_one_shape_different_values():
    first = keras.initializers.GlorotUniform()
    values = [ops.convert_to_numpy(one((3, 4))) for one in (first, cloned(first), cloned(first))]
    assert all(np.abs(a - b).max() > 1e-3 for a, b in ((values[0], values[1]), (values[1], values[2])))


def test_a_seeded_copy_gives_the_same_values():
    first = keras.initializers.GlorotUniform(seed=3)
    np.testing.assert_array_equal(*(ops.convert_to_numpy(one((3, 4))) for one in (first, cloned(first))))


@pytest.mark.parametrize(("dtype", "rounding"), [("float32", 0), ("bfloat16", 2**-8), ("float16", 2**-11), (None, 0)])
def test_values_are_drawn_in_float32_and_rounded_once(dtype, rounding):
    draw = keras.initializers.RandomNormal(seed=3)
    values = rounded(draw, [3, 4], dtype)
    assert keras.backend.standardize_dtype(values.dtype) == (dtype or keras.config.floatx())
    exact = ops.convert_to_numpy(draw((3, 4), dtype="float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(values, "float32")), exact, rtol=rounding)
