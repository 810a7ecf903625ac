"""Rows and columns of tokens that stand row by row."""

from typing import Any

from keras import ops

from keras_arch.core import check


def check_grid(argument: str, size: Any) -> tuple[int, int]:
    """Return a (rows, columns) pair of positive integers, or raise.

    >>> check_grid("grid_size", [2, 3])
    (2, 3)
    """
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise check.refuse(argument, "must be a pair (rows, columns)", size, "Pass for example (14, 14).")
    return tuple(check.integer(f"{argument}[{axis}]", one) for axis, one in enumerate(size))


def grid_positions(tokens: Any, grid_size: tuple[int, int], num_prefix_tokens: int = 0) -> tuple[Any, Any, Any]:
    """Row and column of each token of a grid, and whether it stands before the grid.

    row = (token - prefix) // columns,  column = (token - prefix) mod columns; both 0 for a prefix token.

    Args:
        tokens: int32 tensor of any shape: indices of tokens, prefix included.
        grid_size: (rows, columns).
        num_prefix_tokens: tokens before the first of the grid.
    Returns:
        (row, column, is_prefix): two int32 tensors and a bool tensor of the shape of `tokens`.

    >>> row, column, is_prefix = grid_positions(np.arange(4, dtype="int32"), (1, 3), 1)
    >>> keras.ops.convert_to_numpy(column).tolist(), keras.ops.convert_to_numpy(is_prefix).tolist()
    ([0, 0, 1, 2], [True, False, False, False])
    """
    patches = ops.convert_to_tensor(tokens) - num_prefix_tokens
    is_prefix = ops.less(patches, 0)
    patches = ops.maximum(patches, 0)
    row = ops.floor_divide(patches, grid_size[1])
    return row, patches - row * grid_size[1], is_prefix
