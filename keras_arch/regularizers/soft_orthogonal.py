"""A penalty on kernels whose columns (or rows) are not orthonormal."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.kernel_matrix import gram_error, tall_matrix


@register
class SoftOrthogonal(keras.Regularizer):
    """Squared distance of a kernel's Gram matrix from the identity.

    penalty = strength · ‖WᵀW − I‖²   (sum of squares)

    A kernel is taken as a matrix W with a column for each index of its last axis: Conv2D (k, k, C, F) as (k · k · C,
    F). Where it has more columns than rows, which then can't all be orthonormal, its rows are: W Wᵀ − I. The paper
    writes WᵀW for any shape; the gradients of the two are equal, only this one is zero where it can't fall further.
    Unlike `keras.regularizers.OrthogonalRegularizer` it takes any rank, and asks for length 1 as well as for right
    angles.

    Args:
        strength: factor of the penalty, >= 0.
    Raises:
        ValueError: for a negative strength; at the call, for a weight of rank 0 or 1.
    Returns (call):
        float32 scalar, also for half precision weights.
    Source: Bansal, Chen and Wang 2018, arXiv:1810.09102, section 3.1.

    >>> penalty = SoftOrthogonal(0.1)
    >>> round(float(penalty(np.diag([2.0, 1.0]))), 4)  # 0.1 · (2² − 1)²
    0.9
    """

    def __init__(self, strength: float = 1e-4) -> None:
        self.strength = check.strength("strength", strength)

    def __call__(self, x: Any) -> Any:
        """Penalty of one kernel: a float32 scalar."""
        return self.strength * gram_error(tall_matrix(x))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"strength": self.strength}
