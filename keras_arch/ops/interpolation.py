"""Rows of a table between its rows: how a table for one length serves another."""

from typing import Any

import numpy as np
from keras import ops

from keras_arch.ops.precision import at_least_float32

METHODS = ("cubic", "linear")


def rows_between(table: Any, coordinates: Any, method: str = "linear") -> Any:
    """Rows of a table at coordinates between its rows, beyond its ends those at the ends.

    linear: the two nearest rows, weighted by nearness. cubic: the four nearest, by the cubic kernel with a = -1/2,
        which
    gives quadratic columns exactly.

    Args:
        table: float tensor, shape (L, ...).   L: rows.
        coordinates: float32 tensor, shape (T,) or of any shape; 0 is the first row, L - 1 the last.
        method: "linear" or "cubic".
    Returns:
        float tensor, shape `coordinates.shape + table.shape[1:]`, in float32 or wider.
    Source: Keys 1981, doi:10.1109/TASSP.1981.1163711.

    >>> table = np.array([[0.0], [2.0], [4.0]], "float32")
    >>> keras.ops.convert_to_numpy(rows_between(table, np.array([-1.0, 0.5, 2.0], "float32")))[:, 0].tolist()
    [0.0, 1.0, 4.0]
    """
    table, last = ops.convert_to_tensor(table), table.shape[0] - 1
    table = ops.cast(table, at_least_float32(table.dtype))
    coordinates = ops.cast(coordinates, table.dtype)
    if method == "linear":
        coordinates = ops.clip(coordinates, 0.0, float(last))
    below = ops.floor(coordinates)
    part = coordinates - below  # within [0, 1)
    if method == "linear":
        weights = {0: 1.0 - part, 1: part}
    else:
        weights = {
            -1: ((-0.5 * part + 1.0) * part - 0.5) * part,
            0: (1.5 * part - 2.5) * part * part + 1.0,
            1: ((-1.5 * part + 2.0) * part + 0.5) * part,
            2: (0.5 * part - 0.5) * part * part,
        }
    nearest, total = ops.cast(below, "int32"), 0.0
    for offset, weight in weights.items():
        rows = ops.take(table, ops.clip(nearest + offset, 0, last), axis=0)
        for _ in table.shape[1:]:
            weight = ops.expand_dims(weight, -1)
        total = total + rows * weight
    return total


def stretched(positions: Any, rows: int, length: Any) -> Any:
    """Where positions of a sequence stand in a table that is stretched over the sequence if that is longer.

    coordinate = (position + 1/2) * rows / length - 1/2 if length > rows, else position.

    Args:
        positions: int32 tensor of any shape.
        rows: of the table.
        length: of the sequence, an int or an integer scalar tensor.
    Returns:
        float32 tensor of the shape of `positions`.

    >>> keras.ops.convert_to_numpy(stretched(np.arange(4), 2, 4)).tolist()
    [-0.25, 0.25, 0.75, 1.25]
    """
    longer = ops.cast(ops.maximum(length, rows), "float32")
    return (ops.cast(positions, "float32") + 0.5) * (rows / longer) - 0.5


def resize_table(table: Any, sizes: tuple[int, ...], method: str = "linear") -> Any:
    """A table with other sizes along its first axes, each interpolated in turn as images are resized.

    coordinate = (row + 1/2) * old size / new size - 1/2. Rows are not averaged where a table shrinks.

    Args:
        table: float array, shape (L, ..., D).
        sizes: new sizes of the first axes.
        method: "linear" or "cubic".
    Returns:
        float32 NumPy array, shape `sizes + table.shape[len(sizes):]`.

    >>> resize_table(np.array([[0.0], [1.0]], "float32"), (4,))[:, 0].tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    table = np.asarray(table, "float32")
    for axis, size in enumerate(sizes):
        if table.shape[axis] != size:
            coordinates = (np.arange(size) + 0.5) * table.shape[axis] / size - 0.5
            rows = rows_between(np.moveaxis(table, axis, 0), coordinates.astype("float32"), method)
            table = np.moveaxis(ops.convert_to_numpy(rows), 0, axis)
    return table
