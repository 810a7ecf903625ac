"""Convolution kernels as Keras lays them out: their shape, and the tap that leaves a pixel where it is."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_arch.core import check


def kernel_shape(shape: Sequence[int], advice: str) -> tuple[int, ...]:
    """The shape as a tuple, if it is that of a convolution kernel: (K1, .., Kd, C, F) with d = 1, 2 or 3.

    Args:
        shape: of a weight.
        advice: for the error, what to use for other weights.
    Raises:
        ValueError: if the rank is not 3 to 5.

    >>> kernel_shape([3, 3, 4, 8], "")
    (3, 3, 4, 8)
    """
    shape = tuple(shape)
    if not 3 <= len(shape) <= 5:
        raise check.refuse("shape", "must be that of a convolution kernel of rank 3 to 5", shape, advice)
    return shape


def at_centre(matrix: Any, spatial: Sequence[int]) -> Any:
    """A kernel that is zero but for a matrix at its spatial centre.

    K[centre] = matrix, K[elsewhere] = 0;  centre = (size - 1) // 2 along each spatial axis.

    For an even size that is the left of the two middle taps: the one that `padding="same"` puts on the pixel itself,
    so that nothing is shifted.

    Args:
        matrix: tensor (C, F).
        spatial: (K1, .., Kd), sizes of the kernel.
    Returns:
        Tensor (K1, .., Kd, C, F) of the dtype of `matrix`.

    >>> ops.convert_to_numpy(at_centre(ops.ones((1, 1)), (3,)))[:, 0, 0].tolist()
    [0.0, 1.0, 0.0]
    """
    # Padding with zeros on both sides of the centre takes any rank and, unlike an indexed update, any backend.
    sides = [((size - 1) // 2, size // 2) for size in spatial]
    kernel = ops.reshape(matrix, (1,) * len(sides) + tuple(matrix.shape))  # (1, .., 1, C, F)
    return ops.pad(kernel, [*sides, (0, 0), (0, 0)])  # (K1, .., Kd, C, F)
