"""Fixup: residual networks without normalization whose outputs and updates do not depend on their depth."""

import numpy as np
import pytest
from keras import ops

from keras_arch.initializers import Fixup

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("branches", "layers", "factor"), [(1, 2, 1), (16, 2, 1 / 4), (16, 3, 1 / 2), (81, 5, 81 ** (-1 / 8))]
)
def test_the_deviation_is_the_papers_factor_of_he(branches, layers, factor):
    values = ops.convert_to_numpy(Fixup(branches, layers, seed=1)((3, 3, 20, 200)))
    assert values.std() == pytest.approx(factor * (2 / 180) ** 0.5, rel=0.02)
    assert np.abs(values).max() > 3 * values.std()  # not truncated at two deviations


def test_seeds_and_arguments_matter_unless_the_layer_is_the_last():
    def draw(**arguments):
        return ops.convert_to_numpy(
            Fixup(**{"num_branches": 9, "layers_per_branch": 3, "seed": 1, **arguments})((4, 5))
        )

    for other in ({"seed": 2}, {"seed": None}, {"num_branches": 8}, {"layers_per_branch": 2}):
        assert np.abs(draw(**other) - draw()).max() > 1e-4
        np.testing.assert_array_equal(draw(last=True, **other), 0)


def forward(x, weights):
    for first, second in weights:
        x = x + np.maximum(x @ first, 0) @ second
    return x


def drawn(branches, layer, last, width=32):
    """Weights of each branch: shuffled entries of a few draws, distributed like draws of their own and much quicker."""
    rng = np.random.default_rng(1)
    pairs = [
        [ops.convert_to_numpy(Fixup(layer, last=zero, seed=seed)((width, width))).astype("float64") for seed in seeds]
        for zero, seeds in ((False, (0, 1)), (last, (2, 3)))
    ]
    return [
        [rng.permutation(kind[rng.integers(2)].reshape(-1)).reshape(width, width) for kind in pairs]
        for _ in range(branches)
    ]


def update(branches, counted):
    """Change of the output by a step of gradient descent that pulls it along a unit vector.

    The last layers are zero, so gradients of the first vanish and those of the last are relu(x W1)' g at one x.
    """
    rng = np.random.default_rng(0)
    x, pull = rng.normal(size=(1, 32)), rng.normal(size=(1, 32))
    pull /= np.linalg.norm(pull)
    weights = drawn(branches, counted, last=True)
    np.testing.assert_array_equal(forward(x, weights), x)
    moved = [(first, second + 0.01 * np.maximum(x @ first, 0).T @ pull) for first, second in weights]
    return np.linalg.norm(forward(x, moved) - x)


def test_the_update_does_not_grow_with_depth():
    assert 0.6 < update(100, 100) / update(10, 10) < 1.6
    assert update(100, 1) / update(10, 1) > 8  # He's initialization: in proportion to the depth


def test_fifty_blocks_keep_the_variance():
    x = np.random.default_rng(0).normal(size=(64, 32))
    kept = forward(x, drawn(50, 50, last=True)).var() / x.var()
    np.testing.assert_allclose(kept, 1)
    # He's initialization in the last layers as well: each block adds its own variance to what comes in.
    assert forward(x, drawn(50, 1, last=False)).var() / x.var() > 1e6


@pytest.mark.parametrize(("name", "value"), [("num_branches", 0), ("layers_per_branch", 1), ("num_branches", 2.5)])
def test_numbers_below_one_branch_of_two_layers_raise(name, value):
    with pytest.raises(ValueError, match=f"{name} must be an integer >="):
        Fixup(**{name: value})


def test_last_is_a_truth_value():
    with pytest.raises(ValueError, match="last must be True or False; received last=1"):
        Fixup(3, last=1)
