"""The sparse group lasso's proximal step: in training, against an independent solver."""

import numpy as np
import pytest
from keras import ops
from oracles.proximal_gradient import regression, sparse_problem

from keras_arch.constraints import ProximalGroupLasso, ProximalL1, ProximalSparseGroupLasso

pytestmark = pytest.mark.backend

RATE = 0.5


def test_sgd_with_it_solves_the_sparse_group_lasso_with_the_same_zeros(rng, regression_by_sgd):
    x, y = sparse_problem(rng)
    lists = [[(i, j) for i in range(6)] for j in range(4)]
    wanted = regression(x, y, lasso=0.04 * 0.5, group=0.04 * 0.5, groups=lists)
    got = regression_by_sgd(x, y, RATE, 300, kernel_constraint=ProximalSparseGroupLasso(0.04, 0.5, "filter", RATE))
    np.testing.assert_allclose(got, wanted, atol=1e-4)
    np.testing.assert_array_equal(got == 0, wanted == 0)
    zeros = (wanted == 0).sum(axis=0)
    assert 6 in zeros  # a whole column
    assert any(0 < count < 6 for count in zeros)  # single weights


def test_its_ends_are_the_other_two_steps(rng):
    w = ops.convert_to_tensor(rng.normal(size=(3, 2, 4)).astype("float32"))
    for ratio, other in ((1.0, ProximalL1(1.0, 0.2)), (0.0, ProximalGroupLasso(1.0, "filter", 0.2))):
        got = ProximalSparseGroupLasso(1.0, ratio, "filter", 0.2)(w)
        np.testing.assert_allclose(ops.convert_to_numpy(got), ops.convert_to_numpy(other(w)), atol=1e-7)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, None])
def test_a_share_outside_the_interval_raises(ratio):
    with pytest.raises(ValueError, match=r"l1_ratio must be a number in \[0, 1\]"):
        ProximalSparseGroupLasso(0.1, ratio)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        ProximalSparseGroupLasso(strength)
