"""DeepNorm: the size of the weights, and updates of the model that do not grow with its depth."""

import numpy as np
import pytest
from keras import ops

from keras_arch.initializers import DeepNorm
from keras_arch.ops.residual import deepnorm_constants

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("num_layers", "stack", "beta"),
    [(1, "encoder", 8**-0.25), (100, "decoder", 800**-0.25), ((6, 3), "decoder", 36**-0.25), ((1, 1), "encoder", 0.87)],
)
def test_weights_are_normal_with_the_gain_of_the_paper(num_layers, stack, beta):
    values = ops.convert_to_numpy(DeepNorm(num_layers, stack, seed=1)((300, 100)))
    assert values.std() == pytest.approx(beta * (2 / 400) ** 0.5, rel=0.02)
    assert abs(values.mean()) < 0.02 * values.std()
    assert np.abs(values).max() > 3 * values.std()  # not truncated at two deviations


def normalized(y):
    centred = y - y.mean(axis=-1, keepdims=True)
    return centred / centred.std(axis=-1, keepdims=True)


def forward(x, weights, alpha):
    """Post-norm sublayers x <- norm(alpha x + x A B), A and B as the value and the output projection of one token."""
    inputs, sums = [], []
    for first, second in weights:
        inputs.append(x)
        sums.append(alpha * x + x @ first @ second)
        x = normalized(sums[-1])
    return x, inputs, sums


def model_update(blocks, gain, rate=0.01, size=16):
    """One step of gradient descent: how much the output changes per feature, and the paper's bound on that.

    The bound: |F(x, theta*) - F(x, theta)| <= sum over sublayers of sqrt(v^2 + w^2) / alpha |theta_i* - theta_i|, v and
    w being the gains of the two matrices.
    """
    alpha = deepnorm_constants(blocks, "encoder")[0]
    rng, mixing = np.random.default_rng(0), np.random.default_rng(1)
    factor = gain / deepnorm_constants(blocks, "encoder")[1]
    drawn = [ops.convert_to_numpy(DeepNorm(blocks, seed=seed)((size, size))).astype("float64") for seed in range(4)]
    # Shuffled entries of a few draws are distributed like draws of their own, and much quicker.
    weights = [
        [factor * mixing.permutation(drawn[mixing.integers(4)].reshape(-1)).reshape(size, size) for _ in range(2)]
        for _ in range(2 * blocks)
    ]
    x = normalized(rng.normal(size=(1, size)))
    before, inputs, sums = forward(x, weights, alpha)
    gradient = rng.normal(size=before.shape) / size**0.5  # of a loss that pulls the output one way
    moved = []
    for (first, second), given, total in reversed(list(zip(weights, inputs, sums, strict=True))):
        deviation, unit = total.std(), normalized(total)
        gradient = (gradient - gradient.mean() - unit * (gradient * unit).mean()) / deviation
        moved.append((first - rate * given.T @ (gradient @ second.T), second - rate * (given @ first).T @ gradient))
        gradient = alpha * gradient + gradient @ second.T @ first.T
    moved = moved[::-1]
    steps = [np.linalg.norm(np.subtract(new, old)) for new, old in zip(moved, weights, strict=True)]
    update = np.linalg.norm(forward(x, moved, alpha)[0] - before) / size**0.5
    return update, 2**0.5 * gain / alpha * sum(steps)


def test_the_update_of_the_model_stays_within_the_papers_bound_at_any_depth():
    updates, bounds = zip(*(model_update(n, deepnorm_constants(n, "encoder")[1]) for n in (10, 100)), strict=True)
    # The theorem counts orders of magnitude; over draws of the weights, update / bound was measured as 0.96 to 1.10.
    assert max(np.divide(updates, bounds)) < 1.25
    assert bounds[1] == pytest.approx(bounds[0], rel=0.15)
    assert updates[1] == pytest.approx(updates[0], rel=0.25)
    # With gain 1 in place of beta the update is far larger, the more so the deeper the stack.
    assert model_update(10, 1.0)[0] > 3 * updates[0]
    assert model_update(100, 1.0)[0] > 5 * updates[1]  # 6 to 10, by the draw


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_weights_are_the_rounded_float32_ones(dtype):
    exact, half = (DeepNorm(3, seed=1)((4, 5), kind) for kind in ("float32", dtype))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ops.cast(half, "float32")),
        ops.convert_to_numpy(ops.cast(ops.cast(exact, dtype), "float32")),
    )


@pytest.mark.parametrize("num_layers", [0, -1, 2.0, (1, 2, 3), (4, 0), "many", None])
def test_other_numbers_of_layers_raise(num_layers):
    with pytest.raises(ValueError, match="num_layers must be"):
        DeepNorm(num_layers)


def test_an_unknown_stack_raises():
    with pytest.raises(ValueError, match="stack must be one of 'decoder', 'encoder'"):
        DeepNorm(3, "middle")
