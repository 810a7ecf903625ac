"""A penalty on the worst direction in which a kernel is not an isometry."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.kernel_matrix import restricted_isometry_error


@register
class SRIP(keras.Regularizer):
    """Spectral restricted isometry: how far a kernel stretches or shrinks any unit vector's squared length at most.

    penalty = strength · σ(WᵀW − I) = strength · max_i |σ_i(W)² − 1|

    A kernel is taken as a matrix W with a column for each index of its last axis: Conv2D (k, k, C, F) as (k · k · C,
    F). Where it has more columns than rows, its transpose is: the paper writes WᵀW for any shape, whose value is then
    never below 1. σ comes from power iteration, from the same start at each call, so it is a lower bound, closer with
    more iterations; small weights, whose σ_i² − 1 are all near −1, need most. Gradients go through all iterations: they
    are exact for the value that is returned.

    Args:
        strength: factor of the penalty, >= 0.
        iterations: steps of the power method, >= 1, each two products with W. The paper takes 2; it costs little to
            take more.
    Raises:
        ValueError: for a negative strength or no iterations; at the call, for a weight of rank 0 or 1.
    Returns (call):
        float32 scalar, also for half precision weights.
    Source: Bansal, Chen and Wang 2018, arXiv:1810.09102, section 3.4 (their start is random).

    >>> penalty = SRIP(0.1)
    >>> round(float(penalty(np.diag([2.0, 1.0]))), 4)  # 0.1 · (2² − 1)
    0.3
    """

    def __init__(self, strength: float = 1e-2, iterations: int = 10) -> None:
        self.strength = check.strength("strength", strength)
        self.iterations = check.integer("iterations", iterations)

    def __call__(self, x: Any) -> Any:
        """Penalty of one kernel: a float32 scalar."""
        return self.strength * restricted_isometry_error(x, self.iterations)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"strength": self.strength, "iterations": self.iterations}
