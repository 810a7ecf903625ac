"""The group lasso's proximal step: in training, against an independent solver."""

import numpy as np
import pytest
from keras import ops
from oracles.proximal_gradient import regression, sparse_problem

from keras_arch.constraints import ProximalGroupLasso
from keras_arch.regularizers import GroupLasso

pytestmark = pytest.mark.backend

RATE = 0.5


@pytest.mark.parametrize(
    ("groups", "lists"),
    [
        ("filter", [[(i, j) for i in range(6)] for j in range(4)]),
        ("input", [[(i, j) for j in range(4)] for i in range(6)]),
    ],
)
def test_sgd_with_it_solves_the_group_lasso_with_the_same_groups_exactly_zero(rng, regression_by_sgd, groups, lists):
    x, y = sparse_problem(rng)
    wanted = regression(x, y, group=0.03, groups=lists)
    got = regression_by_sgd(x, y, RATE, 300, kernel_constraint=ProximalGroupLasso(0.03, groups, RATE))
    np.testing.assert_allclose(got, wanted, atol=1e-4)
    np.testing.assert_array_equal(got == 0, wanted == 0)
    assert 0 < (wanted == 0).sum() < wanted.size


def test_the_penalty_alone_has_no_zeros(rng, regression_by_sgd):
    x, y = sparse_problem(rng)
    assert (regression_by_sgd(x, y, RATE, 300, kernel_regularizer=GroupLasso(0.03)) != 0).all()


def test_heads_of_a_whole_attention_layer_are_shrunk():
    constraint = ProximalGroupLasso(1.0, "head", learning_rate=0.1)
    for shape, axis in (((12, 3, 2), 1), ((3, 2, 12), 0)):
        kernel = np.ones(shape, "float32")
        np.moveaxis(kernel, axis, 0)[1] = 0.05
        got = np.moveaxis(ops.convert_to_numpy(constraint(ops.convert_to_tensor(kernel))), axis, 0)
        assert (got[1] == 0).all()
        np.testing.assert_allclose(got[[0, 2]], 0.9, rtol=1e-5)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        ProximalGroupLasso(strength)


def test_a_weight_without_input_channels_raises():
    with pytest.raises(ValueError, match="which has rank 1; received groups='input'"):
        ProximalGroupLasso(0.1, "input")(ops.ones((3,)))
