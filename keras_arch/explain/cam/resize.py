"""Maps of a layer's size, spread over the size of the input."""

import numpy as np


def resize(maps: np.ndarray, size: tuple[int, ...], interpolation: str = "linear") -> np.ndarray:
    """Resample maps along every axis but the first, in any number of dimensions, without antialiasing.

    The value at output position i reads the input at (i + 1/2) · old / new - 1/2, held at the borders: pixels are
    cells, and the cells of both sizes cover the same area.

    Args:
        maps: (N, *old), one map per sample.
        size: new length of each axis but the first.
        interpolation: "linear" or "nearest".
    Returns:
        float32 array (N, *size).

    >>> resize(np.array([[0.0, 1.0]]), (4,)).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    for axis, new in enumerate(size, start=1):
        old = maps.shape[axis]
        position = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        if interpolation == "nearest":
            position = np.floor(position + 0.5)
        weights = np.maximum(1 - np.abs(position[:, None] - np.arange(old)), 0)  # (new, old)
        maps = np.moveaxis(np.tensordot(maps, weights, axes=(axis, 1)), -1, axis)
    return maps.astype("float32")
