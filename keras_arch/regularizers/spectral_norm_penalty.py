"""A penalty on the factor by which a kernel can amplify its inputs."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.kernel_matrix import largest_singular_value_squared


@register
class SpectralNormPenalty(keras.Regularizer):
    """Half the square of a kernel's largest singular value.

    penalty = strength / 2 · σ(W)²

    A kernel is taken as a matrix W with a column for each index of its last axis: Conv2D (k, k, C, F) as (k · k · C,
    F). This bounds the layer's sensitivity to changes of its inputs, where L2 shrinks all singular values alike. It
    differs from `keras.layers.SpectralNormalization`, which divides the kernel by σ. σ² comes from power iteration on
    WᵀW, from the same start at each call, so it is a lower bound, closer with more iterations. Gradients go through all
    iterations: they are exact for the value that is returned, and tend to σ u vᵀ, the paper's, as it does to σ²/2.

    Args:
        strength: factor of the penalty, >= 0.
        iterations: steps of the power method, >= 1, each two products with W. The paper takes 1, and starts where the
            last training step ended; a penalty keeps no state, so more are taken from its fixed start.
    Raises:
        ValueError: for a negative strength or no iterations; at the call, for a weight of rank 0 or 1.
    Returns (call):
        float32 scalar, also for half precision weights.
    Source: Yoshida and Miyato 2017, arXiv:1705.10941.

    >>> penalty = SpectralNormPenalty(0.1)
    >>> round(float(penalty(np.diag([3.0, 1.0]))), 4)  # 0.1 · 9 / 2
    0.45
    """

    def __init__(self, strength: float = 0.01, iterations: int = 10) -> None:
        self.strength = check.strength("strength", strength)
        self.iterations = check.integer("iterations", iterations)

    def __call__(self, x: Any) -> Any:
        """Penalty of one kernel: a float32 scalar."""
        return self.strength / 2 * largest_singular_value_squared(x, self.iterations)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"strength": self.strength, "iterations": self.iterations}
