"""A step towards low rank that sets singular values to zero."""

from typing import Any

import keras

from keras_arch.constraints.learning_rate import check_learning_rate, learning_rate_number, threshold
from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.proximal import shrink_singular_values


@register
class ProximalNuclearNorm(keras.constraints.Constraint):
    """Soft threshold of a kernel's singular values after each optimizer step: the nuclear norm as a proximal step.

    W ← U diag(max(σ − t, 0)) Vᵀ   with W = U diag(σ) Vᵀ,   t = strength · learning_rate

    A kernel is taken as a matrix W with a column for each index of its last axis: Conv2D (k, k, C, F) as (k · k · C,
    F). Its rank falls, to the rounding of the product: `numpy.linalg.matrix_rank` sees it. It takes the place of
    `NuclearNorm(strength)`: do not use both. How t relates to the optimizer, what a schedule needs, gradient
    accumulation and saved files are as in `ProximalGroupLasso`. Costs a singular value decomposition a step.

    Args:
        strength: factor of the penalty that this is the proximal step of, >= 0.
        learning_rate: of the optimizer that trains the weight: a number >= 0, or the optimizer itself, whose rate is
            then read at each step, schedules included.
    Raises:
        ValueError: for a negative or infinite strength or learning rate; at the call, for a weight of rank 0 or 1.
    Returns (call):
        Tensor like the weight; computed in float32 at least.
    Source: Cai, Candès and Shen 2010, arXiv:0810.3286.

    >>> step = ProximalNuclearNorm(1.0, learning_rate=0.5)
    >>> keras.ops.convert_to_numpy(step(np.diag([3.0, 0.25]))).round(4).tolist()
    [[2.5, 0.0], [0.0, 0.0]]
    """

    def __init__(self, strength: float = 0.01, learning_rate: float | keras.Optimizer = 0.01) -> None:
        self.strength = check.strength("strength", strength)
        self.learning_rate = check_learning_rate(learning_rate)

    def __call__(self, w: Any) -> Any:
        """The weight after the proximal step."""
        return shrink_singular_values(w, threshold(self.strength, self.learning_rate))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, the learning rate as a number."""
        return {"strength": self.strength, "learning_rate": learning_rate_number(self.learning_rate)}
