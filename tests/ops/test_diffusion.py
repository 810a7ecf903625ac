"""Blur by diffusion: its laws, its derivative, and SciPy's Gaussian where the two should meet."""

import numpy as np
import pytest

from keras_arch.ops.diffusion import diffusion

pytestmark = pytest.mark.backend


def test_blurs_add_up_and_keep_the_mass():
    for length in (1, 2, 7):
        one, other, both = (diffusion(length, sigma)[0] for sigma in (1.5, 2.0, 2.5))
        np.testing.assert_allclose(one @ other, both, atol=1e-12)
        np.testing.assert_allclose(both.sum(0), 1, atol=1e-12)
        np.testing.assert_allclose(both.sum(1), 1, atol=1e-12)
        assert both.min() >= -1e-12
        np.testing.assert_allclose(diffusion(length, 0.0)[0], np.eye(length), atol=1e-12)
        np.testing.assert_allclose(diffusion(length, 1e3)[0], np.full((length, length), 1 / length), atol=1e-12)


def test_the_variance_of_the_kernel_is_the_square_of_its_width():
    kernel = diffusion(101, 3.0)[0][50]
    np.testing.assert_allclose(kernel @ (np.arange(101) - 50.0) ** 2, 9.0, rtol=1e-9)


def test_the_derivative_equals_finite_differences():
    for sigma in (0.3, 2.0):
        step = 1e-5
        want = (diffusion(9, sigma + step)[0] - diffusion(9, sigma - step)[0]) / (2 * step)
        np.testing.assert_allclose(diffusion(9, sigma)[1], want, atol=1e-9)
    np.testing.assert_array_equal(diffusion(9, 0.0)[1], np.zeros((9, 9)))


def test_wide_kernels_are_close_to_a_sampled_gaussian():
    ndimage = pytest.importorskip("scipy.ndimage")
    line = np.random.default_rng(0).normal(size=60)
    want = ndimage.gaussian_filter1d(line, 4.0, mode="reflect", truncate=8)
    np.testing.assert_allclose(diffusion(60, 4.0)[0] @ line, want, atol=5e-3)


@pytest.mark.parametrize("arguments", [(0, 1.0), (3, -1.0)])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(ValueError, match="length|sigma"):
        diffusion(*arguments)
