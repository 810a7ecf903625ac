"""Attention in tiles with a gradient of its own: memory grows with the length, not with its square."""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_arch.ops.backend.tensorflow.streamed_attention import streamed
from keras_arch.ops.backend.tensorflow.tiles import Tiles
from keras_arch.ops.backend.tensorflow.unrolled_attention import unrolled

SCORES = 2**22  # scores that a tile holds at most, if its rows stay within the limits below
FEWEST_ROWS, MOST_ROWS, MOST_TILES = 64, 512, 64


@tf.autograph.experimental.do_not_convert
def blockwise_attention(
    query: Any,
    key: Any,
    value: Any,
    masks: tuple = (),
    bias: Any = None,
    *,
    bias_between: Callable[[Any, Any], Any] | None = None,
    query_positions: Any = None,
    key_positions: Any = None,
    causal: bool = False,
    window: int | None = None,
    soft_cap: float | None = None,
    sinks: Any = None,
    dropout: float = 0.0,
    seed: Any = None,
    may_keep: int = 0,
) -> Any:
    """`keras_arch.ops.attention.scaled_dot_product_attention` of sequences, tile by tile; it never shows its weights.

    With known lengths, tiles are C queries and all keys that these can see, laid out one after the other in the graph,
    so what a causal mask or a window hides is not computed. With unknown or very long ones, tiles are C queries and K
    keys in a loop, with a running maximum and sum of each row. Weights are computed again for the gradient.

    Args:
        query: (B, T, N, H), scaled.
        key: (B, S, M, H), M dividing N: query head n attends with key head n // (N / M).
        value: (B, S, M, V).
        masks: bool tensors of rank 4 that broadcast to (B, N, T, S), True where seen.
        bias: None, or float tensor of rank 4 that broadcasts to (B, N, T, S); finite.
        bias_between: None, or what gives (N, C, K) or (B, N, C, K) from the positions of C queries and K keys; it
            gets no gradient.
        query_positions: None for places that end beside the last key, or int (T,) or (B, T).
        key_positions: None for places from 0, or int (S,) or (B, S).
        causal: whether later keys are hidden, the last query standing beside the last key.
        window: None, or how many steps before and after itself a query sees, its own included.
        soft_cap: None, or c in c tanh(score / c).
        sinks: None, or float (N,): a score per head that takes part in the sum and has no value.
        dropout: rate at which weights are dropped.
        seed: int32 (2,), of the dropout.
        may_keep: how many weights may wait for the gradient where the shape is known: if all fit, none is computed
            again, which saves a seventh of the products.
    Returns:
        (B, T, N, V); zeros for a query that sees nothing.
    Source: tiles: Dao et al. 2022, arXiv:2205.14135; Rabe, Staats 2021, arXiv:2112.05682.
    """
    length, memory = query.shape[1], key.shape[1]
    heads, key_heads = query.shape[2], key.shape[2]
    tiles = Tiles(
        length=tf.shape(query)[1] if length is None else length,
        memory=tf.shape(key)[1] if memory is None else memory,
        key_heads=key_heads,
        groups=heads // key_heads,
        masks=tuple(masks),
        bias_between=bias_between,
        query_positions=query_positions,
        key_positions=key_positions,
        causal=causal,
        window=window,
        soft_cap=soft_cap,
        dropout=dropout,
        seed=seed,
    )
    by_head = bias_between is None  # which is computed for all heads at once
    plan = tiling(query.shape[0], (heads, key_heads), (length, memory), causal, window, by_head)
    has = {"has_bias": bias is not None, "has_sinks": sinks is not None}
    wide = tf.float64 if query.dtype == tf.float64 else tf.float32
    attend = unrolled(tiles, *plan, may_keep, **has) if plan else streamed(tiles, wide, **has)

    query = tf.transpose(query, (0, 2, 1, 3))  # (B, N, T, H)
    query = tf.reshape(query, (-1, key_heads, heads // key_heads, tiles.length, query.shape[3]))  # (B, M, G, T, H)
    key, value = tf.transpose(key, (0, 2, 1, 3)), tf.transpose(value, (0, 2, 1, 3))  # (B, M, S, H)
    bias = tf.zeros((1, 1, 1, 1), query.dtype) if bias is None else bias
    sinks = tf.zeros(heads, wide) if sinks is None else tf.cast(sinks, wide)
    sinks = tf.reshape(sinks, (1, key_heads, heads // key_heads, 1, 1))
    output = attend(query, key, value, bias, sinks)  # (B, M, G, T, V)
    output = tf.reshape(output, (-1, heads, tiles.length, value.shape[3]))
    return tf.transpose(output, (0, 2, 1, 3))  # (B, T, N, V)


def tiling(
    batch: int | None,
    heads: tuple,
    lengths: tuple,
    causal: bool = False,
    window: int | None = None,
    by_head: bool = True,
) -> tuple[int, bool] | None:
    """How to lay an attention out in a graph: (C, whether each key head has tiles of its own), or None for a loop.

    Args:
        batch: B, or None.
        heads: (N, M).
        lengths: (T, S), or None for either.
        causal: whether later keys are hidden; smaller tiles then leave out more of them.
        window: None, or how many steps before and after itself a query sees.
        by_head: whether key heads may be parted.

    >>> tiling(1, (4, 4), (4096, 4096)), tiling(1, (4, 4), (4096, 4096), causal=True), tiling(1, (4, 4), (None, 4096))
    ((512, True), (256, True), None)
    """
    length, memory = lengths
    if length is None or memory is None:
        return None
    if window is not None:
        memory = min(memory, MOST_ROWS + window * (1 if causal else 2))
    whole, parts = (heads[0], 1), (heads[0] // heads[1], heads[1])
    for together, count in (parts, whole) if by_head and heads[1] > 1 else (whole,):
        for most in (MOST_ROWS // 2, MOST_ROWS) if causal and window is None else (MOST_ROWS,):
            rows = rows_of_tile(batch, together, memory, most)
            if count * math.ceil(length / rows) <= MOST_TILES:
                return rows, count > 1
    return None


def rows_of_tile(batch: int | None, heads: int, memory: int, most: int = MOST_ROWS) -> int:
    """C, the queries of a tile: as many as `SCORES` allows, a multiple of 64 between 64 and `most`.

    >>> rows_of_tile(1, 4, 4096), rows_of_tile(1, 4, 8192), rows_of_tile(8, 8, 1024)
    (256, 128, 64)
    """
    rows = SCORES // ((batch or 1) * heads * max(memory, 1))
    return min(max(rows // FEWEST_ROWS * FEWEST_ROWS, FEWEST_ROWS), most)
