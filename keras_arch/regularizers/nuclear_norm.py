"""A penalty that drives a kernel to low rank."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.kernel_matrix import nuclear_norm


@register
class NuclearNorm(keras.Regularizer):
    """Sum of a kernel's singular values, the lasso of the rank.

    penalty = strength · Σ_i σ_i(W),   gradient = strength · U Vᵀ   with W = U diag(σ) Vᵀ

    A kernel is taken as a matrix W with a column for each index of its last axis: Conv2D (k, k, C, F) as (k · k · C,
    F). The decomposition itself is not differentiated: its derivative is infinite where two singular values are equal.
    Where W lacks rank, U and V hold the directions it has, so the gradient is the smallest subgradient, and zero for a
    weight of zeros. Gradient steps alone come near low rank but not onto it: see
    `keras_arch.constraints.ProximalNuclearNorm`.

    Args:
        strength: factor of the penalty, >= 0.
    Raises:
        ValueError: for a negative strength; at the call, for a weight of rank 0 or 1.
    Returns (call):
        float32 scalar, also for half precision weights.
    Costs a singular value decomposition a step.
    Source: Fazel, Hindi and Boyd 2001, doi:10.1109/ACC.2001.945730; the subgradient: Watson 1992,
    doi:10.1016/0024-3795(92)90407-2.

    >>> penalty = NuclearNorm(0.1)
    >>> round(float(penalty(np.diag([3.0, -1.0]))), 4)
    0.4
    """

    def __init__(self, strength: float = 0.01) -> None:
        self.strength = check.strength("strength", strength)

    def __call__(self, x: Any) -> Any:
        """Penalty of one kernel: a float32 scalar."""
        return self.strength * nuclear_norm(x)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"strength": self.strength}
