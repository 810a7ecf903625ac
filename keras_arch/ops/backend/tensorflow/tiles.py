"""One tile of attention scores: which of its entries are seen, biased, capped and dropped."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import tensorflow as tf

from keras_arch.ops.attention import HIDES, lowest


@dataclass(frozen=True)
class Tiles:
    """What the tiles of one attention have in common.

    A tile holds the scores of C queries and K keys: (B, M, G, C, K).
    B: batch, M: key heads, G: query heads per key head, N = M G, T: query length, S: key length.

    Args:
        length: T, an int or an int32 scalar tensor.
        memory: S, likewise.
        key_heads: M.
        groups: G.
        masks: bool tensors that broadcast to (B, N, T, S), True where seen.
        bias_between: None, or what gives the bias of a tile from its positions: (N, C, K) or (B, N, C, K).
        query_positions: None for the place of each query, or int (T,) or (B, T).
        key_positions: None for the place of each key, or int (S,) or (B, S).
        causal: whether later keys are hidden, the last query standing beside the last key.
        window: None, or how many steps before and after itself a query sees, its own included.
        soft_cap: None, or c in c tanh(score / c).
        dropout: rate at which weights are dropped.
        seed: int32 (2,), of the dropout.
        first_head: place of the first key head among all of the layer, for the dropout.
    """

    length: Any
    memory: Any
    key_heads: int
    groups: int
    masks: tuple = ()
    bias_between: Callable[[Any, Any], Any] | None = None
    query_positions: Any = None
    key_positions: Any = None
    causal: bool = False
    window: int | None = None
    soft_cap: float | None = None
    dropout: float = 0.0
    seed: Any = None
    first_head: int = 0

    def scores(self, query: Any, key: Any, bias: Any, start: tuple, dtype: Any) -> tuple[Any, Any, Any]:
        """Scores of a tile.

        Args:
            query: (B, M, G, C, H), scaled.
            key: (B, M, K, H).
            bias: None, or what broadcasts to (B, N, C, K): the tile's part.
            start: place of the first query and of the first key.
            dtype: in which scores are capped, biased and hidden.
        Returns:
            scores (B, M, G, C, K); the same before bias and mask if they are capped, else None; and which rows of
            (., ., ., C, 1) see a key, None if all do.
        """
        rows, columns = _length(query, 3), _length(key, 2)
        flat = tf.matmul(self.flat(query), key, transpose_b=True)  # (B, M, G C, K)
        scores = tf.cast(self.folded(flat, rows), dtype)
        capped = None
        if self.soft_cap is not None:
            capped = scores = self.soft_cap * tf.tanh(scores / self.soft_cap)
        parts = [] if bias is None else [bias]
        parts += [] if self.bias_between is None else [self.tile_bias(start, rows, columns)]
        if self.always_seen and not parts and self.window is None and all(map(_known, (*start, rows, columns))):
            return self.without_later_keys(scores, start), capped, None
        visible = self.visible(start, rows, columns)
        for part in parts:
            part = self.by_group(tf.cast(part, dtype))
            shown = part > HIDES
            scores += tf.where(shown, part, tf.zeros((), dtype))
            visible = shown if visible is None else tf.logical_and(visible, shown)
        if visible is None:
            return scores, capped, None
        hidden = tf.constant(lowest(scores.dtype.name), scores.dtype)
        if self.always_seen and not parts:
            # Adding is a cheaper pass than choosing; a hidden key then weighs exactly 0 beside a seen one.
            return scores + tf.where(visible, tf.zeros((), scores.dtype), hidden), capped, None
        return tf.where(visible, scores, hidden), capped, tf.reduce_any(visible, -1, keepdims=True)

    def without_later_keys(self, scores: Any, start: tuple) -> Any:
        """Scores (B, M, G, C, K) with later keys hidden if the attention is causal: writes no more than these."""
        rows, columns = scores.shape[3], scores.shape[4]
        first = start[0] - start[1] + self.memory - self.length + 1  # the first key that the tile's first query misses
        if not self.causal or first >= columns:
            return scores
        shape = (_length(scores, 0), self.key_heads, self.groups, columns - first, min(rows, columns - first))
        shape = shape[:3] + shape[-1:] if first == columns - 1 else shape  # one diagonal has no axis of its own
        diagonals = tf.fill(shape, tf.constant(lowest(scores.dtype.name), scores.dtype))
        return tf.linalg.set_diag(scores, diagonals, k=(first, columns - 1))

    @property
    def always_seen(self) -> bool:
        """Whether order alone hides keys, and each query has at least its own."""
        whole = isinstance(self.length, int) and isinstance(self.memory, int)
        return not self.masks and (not (self.causal or self.window) or (whole and self.length <= self.memory))

    def visible(self, start: tuple, rows: Any, columns: Any) -> Any:
        """Which keys of a tile each query sees: what broadcasts to (B, M, G, C, K), or None for all."""
        parts = [self.by_group(self.cut(mask, start, rows, columns)) for mask in self.masks]
        if not parts and not self.causal and self.window is None:
            return None
        query = start[0] + tf.range(rows)[:, None] + (self.memory - self.length)
        key = start[1] + tf.range(columns)[None]
        if self.causal:
            parts.append((key <= query)[None, None, None])
        if self.window is not None:
            parts.append((tf.abs(query - key) < self.window)[None, None, None])
        visible = parts[0]
        for part in parts[1:]:
            visible = tf.logical_and(visible, part)
        return visible

    def cut(self, tensor: Any, start: tuple, rows: Any, columns: Any) -> Any:
        """The part of (B, N, T, S) that belongs to a tile; axes of length 1 stay."""
        if tensor.shape[2] != 1:
            tensor = piece(tensor, 2, start[0], rows)
        return tensor if tensor.shape[3] == 1 else piece(tensor, 3, start[1], columns)

    def tile_bias(self, start: tuple, rows: Any, columns: Any) -> Any:
        """The bias of a tile from its positions, (1 or B, N, C, K)."""
        query, key = self.query_positions, self.key_positions
        if query is None:
            query = start[0] + tf.range(rows) + (self.memory - self.length)
        else:
            query = piece(query, len(query.shape) - 1, start[0], rows)
        if key is None:
            key = start[1] + tf.range(columns)
        else:
            key = piece(key, len(key.shape) - 1, start[1], columns)
        bias = tf.convert_to_tensor(self.bias_between(query, key))
        return bias if len(bias.shape) == 4 else bias[None]

    def drop(self, weights: Any, start: tuple) -> Any:
        """Factors of the dropout of a tile: the same again whenever the tile is computed."""
        place = tf.cast(start[0], "int64") * 2**32 + tf.cast(start[1], "int64")
        seed = tf.random.experimental.stateless_fold_in(tf.cast(self.seed, "int64") + self.first_head, place)
        kept = tf.random.stateless_uniform(tf.shape(weights), seed) >= self.dropout
        return tf.cast(kept, weights.dtype) / tf.cast(1 - self.dropout, weights.dtype)

    def of_head(self, head: int) -> "Tiles":
        """The attention of one key head and the query heads that share it."""
        own = slice(head * self.groups, (head + 1) * self.groups)
        masks = tuple(mask if mask.shape[1] == 1 else mask[:, own] for mask in self.masks)
        return replace(self, key_heads=1, masks=masks, first_head=head)

    def flat(self, tensor: Any) -> Any:
        """(B, M, G, C, H) -> (B, M, G C, H)"""
        if self.groups == 1:
            return tf.squeeze(tensor, 2)
        rows, columns = _length(tensor, 3), _length(tensor, 4)
        return tf.reshape(tensor, (-1, self.key_heads, self.groups * rows, columns))

    def folded(self, tensor: Any, rows: Any) -> Any:
        """(B, M, G C, K) -> (B, M, G, C, K)"""
        if self.groups == 1:
            return tf.expand_dims(tensor, 2)
        return tf.reshape(tensor, (-1, self.key_heads, self.groups, rows, _length(tensor, 3)))

    def by_group(self, tensor: Any) -> Any:
        """(B, N or 1, C, K) -> (B, M or 1, G or 1, C, K)"""
        if tensor.shape[1] == 1:
            return tf.expand_dims(tensor, 2)
        rows, columns = _length(tensor, 2), _length(tensor, 3)
        return tf.reshape(tensor, (-1, self.key_heads, self.groups, rows, columns))


def _length(tensor: Any, axis: int) -> Any:
    """The length of one axis, an int where it is known: nodes of a graph cost memory, and there are many tiles."""
    length = tensor.shape[axis]
    return tf.shape(tensor)[axis] if length is None else length


def _known(length: Any) -> bool:
    return isinstance(length, int)


def piece(tensor: Any, axis: int, start: Any, size: Any) -> Any:
    """`size` entries of one axis from `start`, which may be a tensor; XLA wants the size itself, not the end."""
    if not isinstance(start, int):
        begin, sizes = [0] * len(tensor.shape), [_length(tensor, i) for i in range(len(tensor.shape))]
        begin[axis], sizes[axis] = start, size
        return tf.slice(tensor, begin, sizes)
    if start == 0 and size == tensor.shape[axis]:
        return tensor
    if _leads(tensor, axis):
        return _behind_ones(tf.squeeze(tensor, list(range(axis)))[start : start + size], axis)
    return tensor[(*[slice(None)] * axis, slice(start, start + size))]


def split(tensor: Any, sizes: list[int], axis: int) -> list:
    """Pieces of the given sizes, one behind the other on `axis`, which they fill."""
    if len(sizes) == 1:
        return [tensor]
    if not _leads(tensor, axis):
        return tf.split(tensor, sizes, axis)
    return [_behind_ones(part, axis) for part in tf.split(tf.squeeze(tensor, list(range(axis))), sizes)]


def _leads(tensor: Any, axis: int) -> bool:
    """Whether only ones stand before an axis: TensorFlow then cuts it without a copy, if it is the first."""
    return tuple(tensor.shape[:axis]) == (1,) * axis


def _behind_ones(tensor: Any, count: int) -> Any:
    """The tensor with axes of length 1 before its own."""
    return tf.reshape(tensor, [1] * count + [_length(tensor, i) for i in range(len(tensor.shape))])


@cache
def sums_wide(dtype: str) -> bool:
    """Whether TensorFlow's softmax of a low-precision row sums in float32 here, found by trying.

    oneDNN's and the GPU's do; a plain sum of bfloat16 ones would stand still at 256.
    """
    with tf.init_scope():
        row = tf.nn.softmax(tf.zeros((1, 4096), dtype))
        return abs(float(tf.cast(row[0, 0], "float32")) * 4096 - 1) < 1e-2


def softmax(scores: Any, dtype: Any) -> Any:
    """Softmax over the last axis with sums in float32 or wider, in `dtype`.

    oneDNN's softmax ends at rank 5, and the fewer axes the better for any backend.
    """
    if len(scores.shape) == 5 and scores.shape[2] == 1:
        return tf.expand_dims(tf.cast(tf.nn.softmax(tf.squeeze(scores, 2)), dtype), 2)
    sizes = [_length(scores, axis) for axis in range(1, len(scores.shape))]
    rows = tf.reshape(scores, (-1, sizes[-1]))
    return tf.reshape(tf.cast(tf.nn.softmax(rows), dtype), (-1, *sizes))
