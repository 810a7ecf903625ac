"""Kernels as matrices against numpy.linalg."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.ops.kernel_matrix import (
    dominant_vector,
    gram_error,
    kernel_matrix,
    largest_singular_value_squared,
    nuclear_norm,
    polar_factor,
    restricted_isometry_error,
    tall_matrix,
    unit,
)

pytestmark = pytest.mark.backend

SHAPES = [(5, 3), (3, 5), (4, 4), (3, 3, 2, 4), (2, 3, 4)]


def number(x):
    return float(ops.convert_to_numpy(x))


@pytest.fixture(params=SHAPES, ids=str)
def kernel(request, rng):
    """Singular values 3, 1.2, 0.48 …: power iteration is at its end after a few steps."""
    u, s, v = np.linalg.svd(matrix_of(rng.normal(size=request.param)), full_matrices=False)
    return ((u * 3 * 0.4 ** np.arange(len(s))) @ v).reshape(request.param).astype("float32")


def matrix_of(kernel):
    return kernel.astype("float64").reshape(-1, kernel.shape[-1])


def test_columns_are_the_last_axis(kernel):
    got = ops.convert_to_numpy(kernel_matrix(ops.convert_to_tensor(kernel)))
    for column in range(kernel.shape[-1]):
        np.testing.assert_array_equal(got[:, column], kernel[..., column].ravel())


def test_a_tall_matrix_has_the_same_singular_values(kernel):
    got = ops.convert_to_numpy(tall_matrix(ops.convert_to_tensor(kernel)))
    assert got.shape[0] >= got.shape[1]
    expected = np.linalg.svd(matrix_of(kernel), compute_uv=False)
    np.testing.assert_allclose(np.linalg.svd(got, compute_uv=False), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_bias_is_no_kernel(shape):
    with pytest.raises(ValueError, match=r"needs a kernel of rank 2 or more; received a weight of the shape"):
        kernel_matrix(ops.ones(shape))


def test_gram_error_is_zero_for_orthonormal_columns(rng):
    q = np.linalg.qr(rng.normal(size=(5, 3)))[0].astype("float32")
    assert number(gram_error(ops.convert_to_tensor(q))) == pytest.approx(0, abs=1e-11)
    assert number(gram_error(ops.convert_to_tensor(q.T))) == pytest.approx(5 - 3, rel=1e-5)


def test_unit_of_zeros_is_zeros():
    np.testing.assert_array_equal(ops.convert_to_numpy(unit(ops.zeros(3))), np.zeros(3))
    np.testing.assert_allclose(ops.convert_to_numpy(unit(ops.convert_to_tensor([3.0, 4.0]))), [0.6, 0.8], rtol=1e-6)


def test_power_iteration_finds_the_eigenvector_of_largest_magnitude():
    eigenvectors = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    a = ops.convert_to_tensor((eigenvectors * [-3.0, 1.0, 0.5, 0.1]) @ eigenvectors.T, dtype="float32")
    v = ops.convert_to_numpy(dominant_vector(lambda v: ops.matmul(a, v), 4, 40))
    assert abs(v @ eigenvectors[:, 0]) == pytest.approx(1, abs=1e-5)


def test_power_iteration_starts_off_the_ones_and_at_the_same_place():
    start = ops.convert_to_numpy(dominant_vector(lambda v: v, 6, 0))
    assert np.linalg.norm(start) == pytest.approx(1, rel=1e-6)
    assert start.std() > 0.1
    np.testing.assert_array_equal(start, ops.convert_to_numpy(dominant_vector(lambda v: v, 6, 0)))


def test_largest_singular_value_tends_to_numpys_from_below(kernel):
    wanted = np.linalg.svd(matrix_of(kernel), compute_uv=False)[0] ** 2
    got = [number(largest_singular_value_squared(ops.convert_to_tensor(kernel), steps)) for steps in (0, 1, 2, 10)]
    assert np.all(np.diff(got) >= -1e-5 * wanted)
    assert got[0] < 0.95 * wanted
    assert got[-1] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.3])  # the largest singular value is furthest from 1, or the smallest
def test_restricted_isometry_error_tends_to_numpys(kernel, scale):
    singular = np.linalg.svd(matrix_of(kernel) * scale, compute_uv=False)
    got = number(restricted_isometry_error(ops.convert_to_tensor(kernel * scale), 20))
    assert got == pytest.approx(np.abs(singular**2 - 1).max(), rel=0.03)


def test_polar_factor_is_that_of_numpy(kernel):
    u, _, v = np.linalg.svd(matrix_of(kernel), full_matrices=False)
    got = polar_factor(kernel_matrix(ops.convert_to_tensor(kernel)))
    np.testing.assert_allclose(ops.convert_to_numpy(got), u @ v, atol=2e-5)


def test_polar_factor_leaves_missing_directions_out(rng):
    thin = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 4))
    got = ops.convert_to_numpy(polar_factor(ops.convert_to_tensor(thin, dtype="float32")))
    singular = np.linalg.svd(got, compute_uv=False)
    np.testing.assert_allclose(singular, [1, 1, 0, 0], atol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(polar_factor(ops.zeros((3, 2)))), np.zeros((3, 2)))


def test_nuclear_norm_is_numpys(kernel):
    wanted = np.linalg.norm(matrix_of(kernel), "nuc")
    assert number(nuclear_norm(ops.convert_to_tensor(kernel))) == pytest.approx(wanted, rel=1e-5)
    assert keras.backend.standardize_dtype(nuclear_norm(ops.cast(kernel, "float16")).dtype) == "float32"
