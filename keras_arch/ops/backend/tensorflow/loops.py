"""The tiles that the loops of streamed attention run over, all of one size."""

import dataclasses
from typing import Any

import tensorflow as tf

from keras_arch.ops.backend.tensorflow.tiles import Tiles


class Loops:
    """Tiles of `rows` queries and `columns` keys, filled up at the ends; numbers of tiles may be tensors.

    Args:
        tiles: the attention.
        rows: C, queries of a tile.
        columns: K, keys of a tile.
    """

    def __init__(self, tiles: Tiles, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.lead = tiles.memory - tiles.length
        self.causal, self.window = tiles.causal, tiles.window
        self.row_tiles, self.column_tiles = -(-tiles.length // rows), -(-tiles.memory // columns)
        self.row_fill = self.row_tiles * rows - tiles.length
        self.column_fill = self.column_tiles * columns - tiles.memory
        real = tf.range(self.column_tiles * columns) < tiles.memory
        self.tiles = dataclasses.replace(
            tiles,
            masks=(*map(self.fill, tiles.masks), real[None, None, None]),
            query_positions=_fill(tiles.query_positions, -1, self.row_fill),
            key_positions=_fill(tiles.key_positions, -1, self.column_fill),
        )

    def columns_of(self, i: Any) -> tuple[Any, Any]:
        """First and last (exclusive) tile of keys that a tile of queries can see."""
        first = i * self.rows + self.lead
        start, stop = 0, self.column_tiles
        if self.causal:
            stop = _tiles_up_to(first + self.rows, self.columns, self.column_tiles)
        if self.window is not None:
            start = tf.clip_by_value((first - self.window + 1) // self.columns, 0, self.column_tiles)
            end = _tiles_up_to(first + self.rows + self.window - 1, self.columns, self.column_tiles)
            stop = tf.minimum(stop, end)
        return tf.convert_to_tensor(start), stop

    def rows_of(self, j: Any) -> tuple[Any, Any]:
        """First and last (exclusive) tile of queries that can see a tile of keys."""
        first = j * self.columns - self.lead
        start, stop = 0, self.row_tiles
        if self.causal:
            start = tf.clip_by_value(first // self.rows, 0, self.row_tiles)
        if self.window is not None:
            start = tf.maximum(start, tf.clip_by_value((first - self.window + 1) // self.rows, 0, self.row_tiles))
            stop = _tiles_up_to(first + self.columns + self.window - 1, self.rows, self.row_tiles)
        return tf.convert_to_tensor(start), stop

    def fill(self, tensor: Any) -> Any:
        """Lengthen a mask or bias (., ., T or 1, S or 1) to whole tiles."""
        if tensor.shape[2] != 1:
            tensor = _fill(tensor, 2, self.row_fill)
        return tensor if tensor.shape[3] == 1 else _fill(tensor, 3, self.column_fill)

    def split_queries(self, tensor: Any) -> Any:
        """(B, M, G, T, H) -> (tiles, B, M, G, C, H)"""
        shape, (_, heads, groups, _, size) = tf.shape(tensor), tensor.shape
        tensor = _fill(tensor, 3, self.row_fill)
        tensor = tf.reshape(tensor, (shape[0], heads, groups, self.row_tiles, self.rows, size))
        return tf.transpose(tensor, (3, 0, 1, 2, 4, 5))

    def split_keys(self, tensor: Any) -> Any:
        """(B, M, S, H) -> (tiles, B, M, K, H)"""
        shape, (_, heads, _, size) = tf.shape(tensor), tensor.shape
        tensor = tf.reshape(
            _fill(tensor, 2, self.column_fill), (shape[0], heads, self.column_tiles, self.columns, size)
        )
        return tf.transpose(tensor, (2, 0, 1, 3, 4))

    def join_queries(self, tensor: Any, length: Any) -> Any:
        """(tiles, B, M, G, C, H) -> (B, M, G, T, H)"""
        _, _, heads, groups, _, size = tensor.shape
        tensor = tf.transpose(tensor, (1, 2, 3, 0, 4, 5))
        tensor = tf.reshape(tensor, (tf.shape(tensor)[0], heads, groups, self.row_tiles * self.rows, size))
        return tensor[:, :, :, :length]

    def join_keys(self, tensor: Any, length: Any) -> Any:
        """(tiles, B, M, K, H) -> (B, M, S, H)"""
        _, _, heads, _, size = tensor.shape
        tensor = tf.transpose(tensor, (1, 2, 0, 3, 4))
        tensor = tf.reshape(tensor, (tf.shape(tensor)[0], heads, self.column_tiles * self.columns, size))
        return tensor[:, :, :length]

    def no_bias_gradient(self, bias: Any, dtype: Any = tf.float32) -> Any:
        """Zeros (row tiles or 1, key tiles or 1, B or 1, N or 1, C or 1, K or 1) for a bias."""
        one_row, one_column = bias.shape[2] == 1, bias.shape[3] == 1
        shape = tf.shape(bias)
        return tf.zeros(
            (
                1 if one_row else self.row_tiles,
                1 if one_column else self.column_tiles,
                shape[0],
                shape[1],
                1 if one_row else self.rows,
                1 if one_column else self.columns,
            ),
            dtype,
        )

    def add_bias_gradient(self, total: Any, bias: Any, d_scores: Any, i: Any, j: Any) -> Any:
        """Add the gradient (B, M, G, C, K) of the scores of tile (i, j)."""
        shape = tf.shape(d_scores)
        d_scores = tf.reshape(d_scores, (shape[0], shape[1] * shape[2], shape[3], shape[4]))  # (B, N, C, K)
        axes = [axis for axis in range(4) if bias.shape[axis] == 1]
        part = tf.reduce_sum(d_scores, axes, keepdims=True) if axes else d_scores
        place = (0 if bias.shape[2] == 1 else i, 0 if bias.shape[3] == 1 else j)
        return tf.tensor_scatter_nd_add(total, [place], part[None])

    def join_bias(self, total: Any, bias: Any) -> Any:
        """The gradient of the bias, of its shape and dtype."""
        shape, parts = tf.shape(bias), tf.shape(total)
        total = tf.transpose(total, (2, 3, 0, 4, 1, 5))
        total = tf.reshape(total, (parts[2], parts[3], parts[0] * parts[4], parts[1] * parts[5]))
        return tf.cast(total[:, :, : shape[2], : shape[3]], bias.dtype)


def _tiles_up_to(end: Any, size: int, most: Any) -> Any:
    """How many tiles reach up to `end` (exclusive)."""
    return tf.clip_by_value(-(-end // size), 0, most)


def _fill(tensor: Any, axis: int, more: Any) -> Any:
    """Lengthen one axis by zeros, or False."""
    if tensor is None:
        return None
    pads = [[0, 0] for _ in tensor.shape]
    pads[axis][1] = more
    return tf.pad(tensor, pads)
