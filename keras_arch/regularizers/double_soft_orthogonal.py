"""A penalty on kernels whose columns and rows are not orthonormal."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.kernel_matrix import gram_error, kernel_matrix


@register
class DoubleSoftOrthogonal(keras.Regularizer):
    """Squared distances of both Gram matrices of a kernel from the identity.

    penalty = strength · (‖WᵀW − I‖² + ‖W Wᵀ − I‖²)   (sums of squares)

    A kernel is taken as a matrix W with a column for each index of its last axis: Conv2D (k, k, C, F) as (k · k · C,
    F). Both terms have the same gradient, since WᵀW and W Wᵀ share their singular values, and differ by the constant
    |rows − columns|: so training with it is training with `SoftOrthogonal` of twice the strength, at the price of the
    larger Gram matrix. It is here for those who repeat the paper; its values, never below |rows − columns| · strength,
    are the paper's.

    Args:
        strength: factor of the penalty, >= 0.
    Raises:
        ValueError: for a negative strength; at the call, for a weight of rank 0 or 1.
    Returns (call):
        float32 scalar, also for half precision weights.
    Source: Bansal, Chen and Wang 2018, arXiv:1810.09102, section 3.2.

    >>> penalty = DoubleSoftOrthogonal(0.1)
    >>> round(float(penalty(np.diag([2.0, 1.0]))), 4)  # 2 · 0.1 · (2² − 1)²
    1.8
    """

    def __init__(self, strength: float = 1e-4) -> None:
        self.strength = check.strength("strength", strength)

    def __call__(self, x: Any) -> Any:
        """Penalty of one kernel: a float32 scalar."""
        matrix = kernel_matrix(x)
        return self.strength * (gram_error(matrix) + gram_error(ops.transpose(matrix)))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"strength": self.strength}
