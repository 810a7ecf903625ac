"""Proximal operators against numerical minimisation of what they are said to minimise."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.group_lasso import group_lasso
from scipy import optimize

from keras_arch.ops.proximal import shrink_groups, shrink_singular_values, soft_threshold

pytestmark = pytest.mark.backend


def minimum(x, threshold, penalty):
    """argmin_z ½ ‖z − x‖² + threshold · penalty(z) by a derivative-free descent from several starts."""

    def objective(z):
        return 0.5 * ((z - x.ravel()) ** 2).sum() + threshold * penalty(z.reshape(x.shape))

    options = {"xtol": 1e-9, "ftol": 1e-13, "maxiter": 20000, "maxfev": 20000}
    found = [
        optimize.minimize(objective, start, method="Powell", options=options) for start in (x.ravel(), 0.1 * x.ravel())
    ]
    return min(found, key=lambda one: one.fun).x.reshape(x.shape)


def apply(operator, x, *arguments):
    return ops.convert_to_numpy(operator(ops.convert_to_tensor(x, dtype="float32"), *arguments))


def test_soft_threshold_minimises_the_lasso():
    x = np.array([2.0, -1.5, 0.3, -0.3, 0.0])
    got = apply(soft_threshold, x, 0.5)
    np.testing.assert_allclose(got, minimum(x, 0.5, lambda z: np.abs(z).sum()), atol=1e-5)
    assert (got == 0).tolist() == [False, False, True, True, True]
    assert not np.signbit(got[2:]).any()


@pytest.mark.parametrize(("axes", "threshold"), [((1,), 0.4), ((0,), 0.4), ((0, 1), 0.4), ((1,), 0.9)])
def test_group_shrinkage_minimises_the_group_lasso(axes, threshold):
    x = np.array([[1.5, 0.2], [-0.5, 0.1], [0.7, -0.2]])
    got = apply(shrink_groups, x, axes, threshold)
    np.testing.assert_allclose(got, minimum(x, threshold, lambda z: group_lasso(z, axes, 1.0)), atol=2e-5)


def test_a_group_that_is_small_is_exactly_zero_and_others_keep_their_direction(rng):
    x = rng.normal(size=(3, 3, 2, 4))
    x[..., 1] *= 0.01
    x[..., 2] = 0
    got = apply(shrink_groups, x, (3,), 0.1)
    assert (got[..., 1:3] == 0).all()
    for kept in (0, 3):
        before, after = np.linalg.norm(x[..., kept]), np.linalg.norm(got[..., kept])
        assert after == pytest.approx(before - 0.1 * 18**0.5, rel=1e-5)
        np.testing.assert_allclose(got[..., kept] / after, x[..., kept] / before, rtol=1e-5)


def test_soft_threshold_then_group_shrinkage_minimises_their_sum():
    x = np.array([[1.5, 0.4], [-0.5, 0.5], [0.2, -0.3]])
    got = apply(shrink_groups, apply(soft_threshold, x, 0.3), (1,), 0.2)
    wanted = minimum(x, 1.0, lambda z: 0.3 * np.abs(z).sum() + group_lasso(z, (1,), 0.2))
    np.testing.assert_allclose(got, wanted, atol=2e-5)
    assert (got[:, 1] == 0).all()
    assert got[2, 0] == 0


def test_singular_values_are_shrunk_as_the_nuclear_norm_wants(rng):
    """By strong convexity z is the minimum if and only if every other point is worse by ½ ‖other − z‖²."""
    x = np.array([[1.5, 0.2], [-0.5, 0.6]])
    for threshold in (0.3, 0.8):
        got = apply(shrink_singular_values, x, threshold).astype("float64")

        def objective(z, threshold=threshold):
            return 0.5 * ((z - x) ** 2).sum() + threshold * np.linalg.norm(z, "nuc")

        for scale in np.repeat([1e-2, 0.1, 1.0], 200):
            other = got + rng.normal(size=(2, 2)) * scale
            assert objective(other) >= objective(got) + 0.5 * ((other - got) ** 2).sum() - 1e-6
    assert np.linalg.matrix_rank(got, tol=1e-5) == 1


def test_singular_values_of_a_convolution_are_those_of_its_matrix(rng):
    x = rng.normal(size=(2, 2, 2, 3))
    got = apply(shrink_singular_values, x, 1.5)
    before, after = (np.linalg.svd(one.reshape(8, 3), compute_uv=False) for one in (x, got))
    np.testing.assert_allclose(after, np.maximum(before - 1.5, 0), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_wide_and_returned_as_it_came(dtype):
    x = ops.full((4, 2), 40000.0, dtype=dtype)
    for got in (soft_threshold(x, 100.0), shrink_groups(x, (1,), 50.0), shrink_singular_values(x, 200.0)):
        assert keras.backend.standardize_dtype(got.dtype) == dtype
        assert np.isfinite(ops.convert_to_numpy(ops.cast(got, "float32"))).all()


def test_no_threshold_changes_nothing(rng):
    x = rng.normal(size=(3, 4)).astype("float32")
    np.testing.assert_array_equal(apply(soft_threshold, x, 0.0), x)
    np.testing.assert_array_equal(apply(shrink_groups, x, (1,), 0.0), x)
    np.testing.assert_allclose(apply(shrink_singular_values, x, 0.0), x, atol=1e-6)
