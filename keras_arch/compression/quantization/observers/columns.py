"""Tensors as matrices with a column for each channel."""

from collections.abc import Sequence
from typing import Any

from keras import ops


def columns(x: Any, axes: Sequence[int] | None = None) -> tuple[Any, tuple[int, ...]]:
    """Bring a tensor into the form (N, C), with the values of each channel in a column.

    Args:
        x: tensor of any shape; where `axes` leaves channels over, their sizes are known.
        axes: axes to reduce, not negative, None for all; the others index channels.
    Returns:
        (matrix, shape): the matrix (N, C), C = 1 without channels, and the shape of the channels, () without.

    >>> matrix, shape = columns(np.zeros((3, 4, 5)), axes=(0, 1))
    >>> tuple(matrix.shape), shape
    ((12, 5), (5,))
    """
    rank = len(x.shape)
    reduced = tuple(range(rank)) if axes is None else tuple(axes)
    kept = tuple(axis for axis in range(rank) if axis not in reduced)
    shape = tuple(x.shape[axis] for axis in kept)
    count = 1
    for size in shape:
        count *= size
    order = (*reduced, *kept)
    if order != tuple(range(rank)):
        x = ops.transpose(x, order)
    return ops.reshape(x, (-1, count)), shape  # (N, C)
