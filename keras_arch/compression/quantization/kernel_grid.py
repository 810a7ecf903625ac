"""Integers and scales of a kernel whose float values already lie on a grid."""

from collections.abc import Sequence

import numpy as np

TOLERANCE = 2e-3  # of a step: float32 products of integers up to 127 with their scale are a hundred times closer


def on_grid(kernel: np.ndarray, axis: int | None, bits: Sequence[int]) -> tuple[np.ndarray, np.ndarray] | None:
    """Write a kernel as integers times scales, exactly.

    kernel = integers * scale

    Args:
        kernel: float array whose values were rounded to a symmetric grid.
        axis: the axis of channels, each of which has its own scale; None for one scale.
        bits: widths of grid that are likely; each grid up to 8 bits is tried after them.
    Returns:
        (int8 array like `kernel`; float32 scales, shape (channels,) or ()), or None if there is no such grid.

    >>> integers, scale = on_grid(np.float32([-0.7, 0.2, 0.5]), None, [4])
    >>> integers.tolist(), round(float(scale), 6)
    ([-7, 2, 5], 0.1)
    """
    rows = kernel[None] if axis is None else np.moveaxis(kernel, axis, 0)
    found = [_row_on_grid(row.astype("float64"), bits) for row in rows]
    if any(row is None for row in found):
        return None
    integers = np.stack([row[0] for row in found])
    scales = np.float32([row[1] for row in found])
    return (integers[0], scales[0]) if axis is None else (np.moveaxis(integers, 0, axis), scales)


def narrowed(integers: np.ndarray, widest: int, bits: int) -> np.ndarray | None:
    """Integers of a narrow grid that stand, stretched and rounded, on the grid of a wider one.

    integers = round(k * widest / top),  top = 2**(bits - 1) - 1

    Args:
        integers: values of the wider grid.
        widest: its largest integer, more than `top`.
        bits: width of the narrow grid.
    Returns:
        k, an int8 array like `integers`, or None if there is none.

    >>> narrowed(np.int8([-127, 4, 123]), 127, bits=6).tolist()
    [-31, 1, 30]
    """
    stretch = widest / (2 ** (bits - 1) - 1)
    found = np.round(integers / stretch)
    return found.astype("int8") if np.array_equal(np.round(found * stretch), integers) else None


def _row_on_grid(row: np.ndarray, bits: Sequence[int]) -> tuple[np.ndarray, float] | None:
    largest = np.abs(row).max()
    if largest == 0:
        return np.zeros(row.shape, "int8"), 1.0
    for top in (*(2 ** (width - 1) - 1 for width in sorted(bits)), *range(1, 128)):
        integers = row * (top / largest)
        if np.abs(integers - integers.round()).max() < TOLERANCE:
            return integers.round().astype("int8"), float(largest / top)
    return None
