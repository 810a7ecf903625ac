"""Rounded kernels come back as the integers and scales that they were made of."""

import numpy as np
import pytest

from keras_arch.compression.quantization.kernel_grid import narrowed, on_grid


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("axis", [None, 0, 2])
def test_integers_times_scales_give_the_kernel_back(bits, axis, rng):
    top = 2 ** (bits - 1) - 1
    integers = rng.integers(-top, top + 1, (5, 4, 6))
    integers.reshape(-1)[0] = integers[:, 0, :] = top  # every channel reaches its end
    shape = [1, 1, 1]
    if axis is not None:
        shape[axis] = integers.shape[axis]
    scales = rng.uniform(0.01, 3.0, shape).astype("float32")
    got, scale = on_grid(integers.astype("float32") * scales, axis, [bits])
    np.testing.assert_array_equal(got, integers)
    np.testing.assert_allclose(scale, scales.reshape(scale.shape), rtol=1e-6)
    assert got.dtype == np.int8


def test_a_channel_that_does_not_reach_the_end_of_its_grid_is_found_too():
    got, scale = on_grid(np.float32([[0.5, -0.1, 0.3], [7.0, 3.0, 0.0]]), 0, [4])
    np.testing.assert_allclose(got * scale[:, None], [[0.5, -0.1, 0.3], [7.0, 3.0, 0.0]], rtol=1e-6)


def test_zeros_and_kernels_on_no_grid(rng):
    got, scale = on_grid(np.zeros((2, 3), "float32"), None, [8])
    assert not got.any()
    assert scale == 1.0
    assert on_grid(rng.normal(size=(4, 50)).astype("float32"), None, [8]) is None


@pytest.mark.parametrize(("bits", "widest"), [(3, 7), (5, 127), (6, 127), (7, 127)])
def test_integers_of_a_coarser_grid_are_found_again(bits, widest, rng):
    top = 2 ** (bits - 1) - 1
    integers = rng.integers(-top, top + 1, (5, 6))
    stored = np.round(integers * (widest / top)).astype("int8")
    np.testing.assert_array_equal(narrowed(stored, widest, bits), integers)
    stored[2, 3] = next(k for k in range(1, widest) if k not in np.round(np.arange(top + 1) * (widest / top)))
    assert narrowed(stored, widest, bits) is None
