"""Kernels of one tap."""

import numpy as np
import pytest
from keras import ops

from keras_arch.ops.convolution_kernel import at_centre, kernel_shape

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("spatial", [(1,), (2,), (3,), (4, 3), (2, 3, 5)])
def test_only_the_tap_that_same_padding_puts_on_the_pixel_is_set(rng, spatial):
    matrix = rng.normal(size=(2, 3)).astype("float32")
    expected = np.zeros((*spatial, 2, 3), "float32")
    expected[tuple((size - 1) // 2 for size in spatial)] = matrix
    kernel = at_centre(ops.convert_to_tensor(matrix), spatial)
    np.testing.assert_array_equal(ops.convert_to_numpy(kernel), expected)
    pixels = rng.normal(size=(1, *(6,) * len(spatial), 2)).astype("float32")
    got = ops.conv(ops.convert_to_tensor(pixels), kernel, padding="same")
    np.testing.assert_allclose(ops.convert_to_numpy(got), pixels @ matrix, atol=1e-5)


def test_shapes_of_other_ranks_raise():
    assert kernel_shape([3, 2, 4], "Use another.") == (3, 2, 4)
    for shape in [(3, 4), (1,) * 6]:
        with pytest.raises(ValueError, match="kernel of rank 3 to 5; received shape=.*Use another"):
            kernel_shape(shape, "Use another.")
