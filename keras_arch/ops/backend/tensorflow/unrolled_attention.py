"""Blockwise attention of known lengths: tiles of whole rows, one after the other in the graph."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_arch.ops.backend.tensorflow.tiles import Tiles, piece, softmax, split, sums_wide
from keras_arch.ops.tile_plan import runs, seen_keys

AT_ONCE = 2  # tiles in work side by side: two keep the cores busy, and more would fill the memory


def unrolled(
    tiles: Tiles, rows: int, by_head: bool = False, may_keep: int = 0, *, has_bias: bool, has_sinks: bool
) -> Callable:
    """Build (query, key, value, bias, sinks) -> output for `blockwise_attention`.

    Args:
        tiles: the attention, T and S being ints.
        rows: C, queries of a tile.
        by_head: whether each key head has tiles of its own, whose products keep closer to the caches.
        may_keep: how many weights may wait for the gradient, which saves one product in seven if all fit.
        has_bias: whether the bias means anything.
        has_sinks: whether the sinks do.
    Returns:
        A function of (B, M, G, T, H), (B, M, S, H), (B, M, S, V), (B or 1, N or 1, T or 1, S or 1) and
        (1, M, G, 1, 1), with a gradient for each; output (B, M, G, T, V).
    """
    count = tiles.key_heads if by_head else 1
    parts = [tiles.of_head(n) for n in range(count)] if by_head else [tiles]
    lanes = [Lane(part, rows, has_bias, has_sinks) for part in parts]

    def by_lane(tensor: Any) -> list:
        length = tensor.shape[1]
        return [tensor] * count if length == 1 else split(tensor, [length // count] * count, 1)

    @tf.custom_gradient
    def attend(query: Any, key: Any, value: Any, bias: Any, sinks: Any) -> tuple[Any, Callable]:
        inputs = list(zip(*(by_lane(x) for x in (query, key, value, bias, sinks)), strict=True))
        queue, outputs = [], []
        keep = query.shape[0] is not None and query.shape[0] * sum(lane.weights for lane in lanes) <= may_keep
        kept = [[] if keep else None for _ in lanes]
        for lane, of_lane, weights in zip(lanes, inputs, kept, strict=True):
            outputs.append(lane.forward(*of_lane, queue, weights))

        def gradient(d_output: Any) -> tuple:
            queue, parts = [], []
            of_lanes = zip(lanes, inputs, outputs, by_lane(d_output), kept, strict=True)
            for lane, of_lane, output, d_own, weights in of_lanes:
                parts.append(lane.backward(*of_lane, output, d_own, queue, weights))
            d_query, d_key, d_value, d_bias, d_sinks = zip(*parts, strict=True)
            whole = [tf.concat(part, 1) for part in (d_query, d_key, d_value)]
            whole.append(tf.add_n(d_bias) if bias.shape[1] == 1 else tf.concat(d_bias, 1))
            return (*whole, tf.concat(d_sinks, 1))

        return tf.concat(outputs, 1), gradient

    return attend


class Lane:
    """The tiles of some key heads.

    Args:
        tiles: the attention of these heads.
        rows: C, queries of a tile.
        has_bias: whether the bias means anything.
        has_sinks: whether the sinks do.
    """

    def __init__(self, tiles: Tiles, rows: int, has_bias: bool, has_sinks: bool) -> None:
        self.tiles, self.has_bias, self.has_sinks = tiles, has_bias, has_sinks
        order = (tiles.length, tiles.memory, tiles.causal, tiles.window)
        self.plan = [(*queries, *seen_keys(*queries, *order)) for queries in runs(tiles.length, rows)]

    @property
    def weights(self) -> int:
        """How many weights a sample has in all tiles."""
        entries = sum((stop - start) * (high - low) for start, stop, low, high in self.plan)
        return self.tiles.key_heads * self.tiles.groups * entries

    def weigh(self, tile: tuple, query: Any, key: Any, bias: Any, sinks: Any) -> tuple[Any, Any, Any]:
        """Weights of a tile of queries and keys before dropout, its scores as the cap left them, and rows that see."""
        start, stop, low, high = tile
        name = query.dtype.name
        narrow = name in ("bfloat16", "float16")
        plain = not (self.has_bias or self.has_sinks or self.tiles.bias_between or self.tiles.soft_cap)
        dtype = tf.float32 if narrow and not (plain and sums_wide(name)) else query.dtype
        part = self.tiles.cut(bias, (start, low), stop - start, high - low) if self.has_bias else None
        scores, capped, sees = self.tiles.scores(query, key, part, (start, low), dtype)
        if not self.has_sinks:
            return softmax(scores, query.dtype), capped, sees
        top = tf.maximum(tf.reduce_max(scores, -1, keepdims=True), sinks)
        weights, rest = tf.exp(scores - top), tf.exp(sinks - top)
        total = tf.reduce_sum(weights, -1, keepdims=True) + rest
        return tf.cast(weights / total, query.dtype), capped, sees

    def forward(self, query: Any, key: Any, value: Any, bias: Any, sinks: Any, queue: list, kept: list) -> Any:
        """Output of these heads; `queue` takes what each tile ended with, and `kept`, if any, what it weighed with."""
        tiles, outputs = self.tiles, []
        for tile, part in zip(self.plan, self.by_tile(query), strict=True):
            start, stop, low, high = tile
            keys = piece(key, 2, low, high - low)
            weights, capped, sees = self.weigh(tile, _after(queue, part), keys, bias, sinks)
            if kept is not None:
                kept.append((weights, capped, sees))
            if tiles.dropout:
                weights *= tiles.drop(weights, (start, low))
            output = tiles.folded(tf.matmul(tiles.flat(weights), piece(value, 2, low, high - low)), stop - start)
            outputs.append(output if sees is None else tf.where(sees, output, tf.zeros((), output.dtype)))
            queue.append(outputs[-1:])
        return tf.concat(outputs, 3)

    def backward(
        self,
        query: Any,
        key: Any,
        value: Any,
        bias: Any,
        sinks: Any,
        output: Any,
        d_output: Any,
        queue: list,
        kept: list | None,
    ) -> tuple:
        """Gradients of these heads for query, key, value, bias and sinks; `kept` from the forward pass, or None."""
        tiles = self.tiles
        d_query, d_key, d_value = [], Overlapping(2), Overlapping(2)
        d_bias, d_sinks = BiasGradient(tiles, bias) if self.has_bias else None, tf.zeros_like(sinks)
        value_and_one = value if tiles.dropout else tf.concat([value, tf.ones_like(value[..., :1])], -1)
        of_tiles = zip(
            self.plan,
            *(self.by_tile(x) for x in (query, output, d_output)),
            kept or [None] * len(self.plan),
            strict=True,
        )
        for tile, part, out, inner, weighed in of_tiles:
            start, stop, low, high = tile
            keys = piece(key, 2, low, high - low)
            if weighed is None:
                part = _after(queue, part)
                weighed = self.weigh(tile, part, keys, bias, sinks)
            weights, capped, sees = weighed
            inner = _after(queue, inner)  # or its products with the values all run at once
            if sees is not None:
                inner = tf.where(sees, inner, tf.zeros((), inner.dtype))
            delta = tf.reduce_sum(wide(inner) * wide(out), -1, keepdims=True)
            factors = tiles.drop(weights, (start, low)) if tiles.dropout else None
            used = weights if factors is None else weights * factors
            d_scores = self.d_scores(weights, factors, inner, delta, piece(value_and_one, 2, low, high - low))
            if self.has_bias:
                d_bias.add(d_scores, tile)
            if self.has_sinks:
                rest = 1 - tf.reduce_sum(wide(weights), -1, keepdims=True)
                d_sinks -= tf.reduce_sum(rest * delta, (0, 3), keepdims=True)
            if capped is not None:
                d_scores *= tf.cast(1 - tf.square(capped / tiles.soft_cap), d_scores.dtype)
            d_scores = tiles.flat(d_scores)
            d_query.append(tiles.folded(tf.matmul(d_scores, keys), stop - start))
            d_key.add(wide(tf.matmul(d_scores, tiles.flat(part), transpose_a=True)), low, high)
            d_value.add(wide(tf.matmul(tiles.flat(used), tiles.flat(inner), transpose_a=True)), low, high)
            queue.append([d_query[-1], d_key.open, d_value.open])
        return (
            tf.concat(d_query, 3),
            tf.cast(d_key.whole(), key.dtype),
            tf.cast(d_value.whole(), value.dtype),
            tf.zeros_like(bias) if d_bias is None else d_bias.whole(),
            d_sinks,
        )

    def d_scores(self, weights: Any, factors: Any, inner: Any, delta: Any, value: Any) -> Any:
        """Gradient of the scores of a tile behind the cap: weights * (d_weights - delta).

        Without dropout the product of the output's gradient and the values also subtracts, by one column more in each.
        """
        delta = tf.cast(delta, weights.dtype)
        inner = tf.concat([inner, -delta], -1) if factors is None else inner
        product = tf.matmul(self.tiles.flat(inner), value, transpose_b=True)
        product = self.tiles.folded(product, weights.shape[3])
        return weights * (product if factors is None else product * factors - delta)

    def by_tile(self, tensor: Any) -> list:
        """The rows (B, M, G, C, .) of each tile from those of all, (B, M, G, T, .)."""
        return split(tensor, [stop - start for start, stop, _, _ in self.plan], 3)


def _after(queue: list, tensor: Any) -> Any:
    """The tensor, once all but the last `AT_ONCE` - 1 tiles in the queue are done."""
    with tf.control_dependencies(queue[-AT_ONCE] if len(queue) >= AT_ONCE else []):
        return tf.identity(tensor)


def wide(tensor: Any) -> Any:
    """In float32 or wider."""
    return tf.cast(tensor, "float32") if tensor.dtype in (tf.bfloat16, tf.float16) else tensor


class Overlapping:
    """Sum of parts whose ranges on one axis overlap and only move forward: what is final is put aside once."""

    def __init__(self, axis: int) -> None:
        self.axis, self.closed, self.open, self.low, self.high = axis, [], None, 0, 0

    def add(self, part: Any, low: int, high: int) -> None:
        """Add `part` at [low, high)."""
        if self.open is None:
            if low:
                self.closed.append(self._empty(part, low))
            self.open = part
        else:
            if low > self.low:
                done, self.open = tf.split(self.open, [low - self.low, self.high - low], self.axis)
                self.closed.append(done)
            if high == self.high:
                self.open += part
            else:
                shared, new = tf.split(part, [self.high - low, high - self.high], self.axis)
                self.open = tf.concat([self.open + shared, new], self.axis)
        self.low, self.high = low, high

    def whole(self) -> Any:
        """The sum over the whole axis up to the last key."""
        return tf.concat([*self.closed, self.open], self.axis)

    def _empty(self, part: Any, length: int) -> Any:
        shape = tf.shape(part)
        return tf.zeros(tf.concat([shape[: self.axis], [length], shape[self.axis + 1 :]], 0), part.dtype)


class BiasGradient:
    """Gradient of a bias (B or 1, N or 1, T or 1, S or 1), put together from tiles of the scores' gradient."""

    def __init__(self, tiles: Tiles, bias: Any) -> None:
        self.tiles, self.bias, self.rows = tiles, bias, []

    def add(self, d_scores: Any, tile: tuple) -> None:
        """Add the gradient (B, M, G, C, K) of the scores of a tile."""
        _, _, low, high = tile
        shape = tf.shape(d_scores)
        d_scores = tf.reshape(wide(d_scores), (shape[0], -1, shape[3], shape[4]))  # (B, N, C, K)
        axes = [axis for axis in range(4) if self.bias.shape[axis] == 1]
        part = tf.reduce_sum(d_scores, axes, keepdims=True) if axes else d_scores
        if 3 not in axes:
            part = tf.pad(part, ((0, 0), (0, 0), (0, 0), (low, self.tiles.memory - high)))
        self.rows.append(part)

    def whole(self) -> Any:
        """The gradient, of the bias's shape and dtype."""
        total = tf.add_n(self.rows) if self.bias.shape[2] == 1 else tf.concat(self.rows, 2)
        return tf.cast(tf.reshape(total, tf.shape(self.bias)), self.bias.dtype)
