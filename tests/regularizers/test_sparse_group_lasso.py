"""Sparse group lasso against a loop and its two ends."""

import keras
import pytest
from keras import ops
from oracles.group_lasso import group_lasso

from keras_arch.regularizers import GroupLasso, SparseGroupLasso

pytestmark = pytest.mark.backend


def cost(penalty, w):
    return float(ops.convert_to_numpy(penalty(ops.convert_to_tensor(w, dtype="float32"))))


@pytest.mark.parametrize(
    ("shape", "groups", "axes"), [((6, 4), "filter", (1,)), ((3, 3, 2, 4), "input", (2,)), ((12, 3, 2), "head", (1,))]
)
def test_penalty_is_the_mix_of_both_loops(rng, shape, groups, axes):
    w = rng.normal(size=shape)
    each = tuple(range(len(shape)))  # every entry its own group: the lasso
    wanted = group_lasso(w, each, 0.3 * 0.8) + group_lasso(w, axes, 0.3 * 0.2)
    assert cost(SparseGroupLasso(0.3, 0.8, groups), w) == pytest.approx(wanted, rel=1e-5)


def test_its_ends_are_the_lasso_and_the_group_lasso(rng):
    w = rng.normal(size=(3, 2, 4))
    assert cost(SparseGroupLasso(0.2, 1.0), w) == pytest.approx(cost(keras.regularizers.L1(0.2), w), rel=1e-6)
    assert cost(SparseGroupLasso(0.2, 0.0), w) == pytest.approx(cost(GroupLasso(0.2), w), rel=1e-6)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, None])
def test_a_share_outside_the_interval_raises(ratio):
    with pytest.raises(ValueError, match=r"l1_ratio must be a number in \[0, 1\]"):
        SparseGroupLasso(0.1, ratio)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        SparseGroupLasso(strength)
