"""Euclidean norms that have a gradient where they are zero."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_arch.ops.precision import at_least_float32


def l2_norm(x: Any, axes: Sequence[int]) -> Any:
    """Square root of the sum of squares over some axes, which stay with size 1.

    norm = sqrt(sum_axes x^2). The gradient is x / norm, and 0 where norm = 0; that of sqrt would be NaN there.

    Args:
        x: float tensor of any shape.
        axes: what is summed over.
    Returns:
        float32 tensor, float64 for float64: squares overflow in float16 above 255.

    >>> float(l2_norm(np.array([[3.0, 4.0]], "float32"), axes=(1,))[0, 0])
    5.0
    """
    wide = at_least_float32(x.dtype)
    energy = ops.sum(ops.square(ops.cast(x, wide)), axis=tuple(axes), keepdims=True)
    positive = energy > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, energy, ops.ones_like(energy))), ops.zeros_like(energy))
