"""Scaled dot-product attention with masks, biases and rows that see nothing."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import ops

from keras_arch.ops.precision import at_least_float32
from keras_arch.ops.score_layout import ScoreLayout

SEQUENCES = ScoreLayout(4, (1,))
HIDES = -32752.0  # half of float16's range: a bias from here down, such as -1e9 or -inf, hides alike at every precision


def causal_mask(query_length: Any, key_length: Any) -> Any:
    """Which keys each query may see when the last query stands beside the last key.

    visible[t, s] = s <= t + S - T.   T: query length, S: key length.

    With S > T the queries are the newest T steps of a cached sequence; with S < T the first T - S queries see nothing.

    Args:
        query_length: T, an int or an integer scalar tensor.
        key_length: S, likewise.
    Returns:
        bool tensor, shape (T, S).

    >>> keras.ops.convert_to_numpy(causal_mask(2, 4)).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 1]]
    """
    return ops.greater_equal(_lead(query_length, key_length), 0)


def window_mask(query_length: Any, key_length: Any, window: int) -> Any:
    """Which keys stand less than `window` steps before or after each query, the last query beside the last key.

    visible[t, s] = |t + S - T - s| < window.   T: query length, S: key length.

    Args:
        query_length: T, an int or an integer scalar tensor.
        key_length: S, likewise.
        window: steps, the query's own included, >= 1.
    Returns:
        bool tensor, shape (T, S).

    >>> keras.ops.convert_to_numpy(window_mask(2, 4, 2)).astype(int).tolist()
    [[0, 1, 1, 1], [0, 0, 1, 1]]
    """
    return ops.less(ops.abs(_lead(query_length, key_length)), window)


def _lead(query_length: Any, key_length: Any) -> Any:
    """How many steps each query stands after each key, int32 (T, S)."""
    queries = ops.arange(query_length, dtype="int32") + (key_length - query_length)
    return ops.expand_dims(queries, 1) - ops.expand_dims(ops.arange(key_length, dtype="int32"), 0)


def all_shown(masks: Iterable[Any]) -> Any:
    """Merge masks into one that shows what all of them show; None among them shows all, and so does no mask.

    >>> keras.ops.convert_to_numpy(all_shown([np.array([True, True]), None, np.array([True, False])])).tolist()
    [True, False]
    """
    merged = None
    for mask in masks:
        if mask is not None:
            merged = mask if merged is None else ops.logical_and(merged, mask)
    return merged


def lowest(dtype: str) -> float:
    """Half of the most negative number of a float type: what a hidden score gets.

    >>> lowest("float16")
    -32752.0
    """
    return HIDES if keras.backend.standardize_dtype(dtype) == "float16" else -(2.0**127)


def additive_mask(mask: Any = None, bias: Any = None, dtype: str = "float32") -> Any:
    """Merge a mask and a bias into what is added to scores: the bias, 0 without one, `lowest(dtype)` where hidden.

    Args:
        mask: None, or bool tensor, True where seen.
        bias: None, or float tensor that broadcasts with the mask.
        dtype: of the result.
    Returns:
        Tensor of the broadcast shape; None if both arguments are None.

    >>> keras.ops.convert_to_numpy(additive_mask(np.array([True, False]), dtype="float16")).tolist()
    [0.0, -32752.0]
    """
    bias = None if bias is None else ops.cast(bias, dtype)
    if mask is None:
        return bias
    shown = ops.zeros((), dtype) if bias is None else bias
    return ops.where(mask, shown, ops.cast(lowest(dtype), dtype))


def fold_hiding_bias(mask: Any, bias: Any) -> tuple[Any, Any]:
    """Move the entries of a bias that hide, `HIDES` = -32752 and below, into the mask, and make the bias finite.

    So a row that a bias hides completely counts as fully masked at every precision, -1e9 being -inf in float16, and no
    -inf reaches a softmax or a gradient.

    Returns:
        (mask, bias); a bias of None is returned as it is.

    >>> mask, bias = fold_hiding_bias(None, np.array([-np.inf, 1.0], "float32"))
    >>> keras.ops.convert_to_numpy(mask).tolist(), keras.ops.convert_to_numpy(bias).tolist()
    ([False, True], [0.0, 1.0])
    """
    if bias is None:
        return mask, None
    bias = ops.convert_to_tensor(bias)
    shown = ops.greater(bias, HIDES)
    bias = ops.where(shown, bias, ops.zeros((), bias.dtype))
    return all_shown([mask, shown]), bias


def masked_softmax(scores: Any, mask: Any = None, bias: Any = None, axes: int = 1) -> Any:
    """Softmax of scores + bias over what the mask shows; a row that sees nothing is all zeros.

    weights = exp(scores + bias) * mask / sum over the last `axes` axes of the same, and 0 where that sum is empty.

    Computed in float32 or wider, cast last.

    Args:
        scores: float tensor of any shape.
        mask: None, or bool tensor that broadcasts to `scores`, True where seen.
        bias: None, or float tensor that broadcasts to `scores`; -32752 and below hides like the mask.
        axes: how many of the last axes to normalise over.
    Returns:
        Tensor of the shape and dtype of `scores`.

    >>> weights = masked_softmax(np.zeros((2, 2)), np.array([[True, False], [False, False]]))
    >>> keras.ops.convert_to_numpy(weights).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    scores = ops.convert_to_tensor(scores)
    mask, bias = fold_hiding_bias(mask, bias)
    weights = unmasked_softmax(scores, mask, bias, axes)
    if mask is not None:
        sees = ops.any(mask, axis=tuple(range(-axes, 0)), keepdims=True)
        weights = ops.where(sees, weights, ops.zeros((), weights.dtype))
    return ops.cast(weights, scores.dtype)


def unmasked_softmax(
    scores: Any, mask: Any, bias: Any, axes: int = 1, soft_cap: float | None = None, sinks: Any = None
) -> Any:
    """Softmax of what a soft cap leaves of the scores + bias, where rows that see nothing come out uniform.

    Args:
        scores: float tensor, (B, N, ...).
        mask: None, or bool tensor that broadcasts to `scores`, True where seen.
        bias: None, or finite float tensor that broadcasts to `scores`.
        axes: how many of the last axes to normalise over.
        soft_cap: None, or c in c tanh(score / c).
        sinks: None, or float (N,): exp(sink) takes part in the sum of each row; rows that see nothing are then 0.
    Returns:
        Tensor of the shape of `scores`, in float32 or wider.

    >>> keras.ops.convert_to_numpy(unmasked_softmax(np.zeros((1, 1, 1, 3)), None, None, sinks=np.zeros(1))).tolist()
    [[[[0.25, 0.25, 0.25]]]]
    """
    wide = at_least_float32(scores.dtype)  # float16 overflows above 65504
    scores, extra = ops.cast(scores, wide), additive_mask(mask, bias, wide)
    if soft_cap is not None:
        scores = soft_cap * ops.tanh(scores / soft_cap)
    scores = scores if extra is None else scores + extra
    if axes == 1 and len(scores.shape) <= 5 and sinks is None:
        return _softmax(scores)
    shape = ops.shape(scores)
    rows = ops.reshape(scores, (-1, math.prod(shape[-axes:])))  # oneDNN's softmax in TensorFlow 2.21 ends at rank 5
    if sinks is None:
        return ops.reshape(_softmax(rows), shape)
    sinks = ops.reshape(ops.cast(sinks, wide), (-1, *[1] * (len(shape) - 2)))  # (N, 1, ...)
    sinks = ops.broadcast_to(sinks, (*shape[:-axes], *[1] * axes))
    rows = ops.concatenate([rows, ops.reshape(sinks, (-1, 1))], axis=-1)
    return ops.reshape(ops.softmax(rows)[:, :-1], shape)


def _softmax(scores: Any) -> Any:
    """Over the last axis; a single key takes all, of which Keras's softmax would warn."""
    return ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    bias: Any = None,
    *,
    scale: float | None = None,
    soft_cap: float | None = None,
    sinks: Any = None,
    layout: ScoreLayout = SEQUENCES,
    drop: Callable[[Any], Any] | None = None,
    return_weights: bool = False,
) -> tuple[Any, Any]:
    """Attention by explicit scores, on every backend and over any axes.

    output = softmax(scale * query key^T + bias, over what the mask shows) value; a query that sees nothing gets zeros.
    With a soft cap c the scaled scores become c tanh(score / c) first; with sinks, exp(sink[n]) takes part in the sum
    of each row of head n and has no value, so that weights may sum to less than 1.

    Args:
        query: (B, T, N, H), or what `layout` says.   B: batch, T: query length, N: heads, H: features per head.
        key: (B, S, M, H), M dividing N: query head n attends with key head n // (N / M).   S: key length.
        value: (B, S, M, V).
        mask: None, or bool tensor that broadcasts to the scores (B, N, T, S), True where seen.
        bias: None, or float tensor that broadcasts to the scores; -32752 and below hides like the mask.
        scale: 1 / sqrt(H) if None. The query is scaled before the product, which float16 could overflow.
        soft_cap: None, or c > 0.
        sinks: None, or float (N,).
        layout: which axes are attended over.
        drop: what is done to the weights before they meet the values, such as dropout.
        return_weights: whether the weights are wanted.
    Returns:
        (output, weights): (B, T, N, V), and (B, N, T, S) before `drop`, in the query's dtype; None if not wanted.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; soft cap: Gemma team 2024, arXiv:2408.00118; grouped
        heads: Ainslie et al. 2023, arXiv:2305.13245; sinks: Xiao et al. 2023, arXiv:2309.17453, section 3.3.

    >>> x = np.ones((1, 3, 2, 4), "float32")
    >>> output, weights = scaled_dot_product_attention(x, x, x, causal_mask(3, 3), return_weights=True)
    >>> keras.ops.convert_to_numpy(weights)[0, 0, 1].tolist()
    [0.5, 0.5, 0.0]
    """
    query = ops.convert_to_tensor(query)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    mask, bias = fold_hiding_bias(mask, bias)
    scores = _scores(query * scale, key, layout)  # (B, N, T, S)
    weights = ops.cast(unmasked_softmax(scores, mask, bias, len(layout.axes), soft_cap, sinks), query.dtype)
    output = _weighted(weights if drop is None else drop(weights), value, layout)  # (B, T, N, V)
    if mask is not None:
        output = _blank(output, mask, layout)
    if not return_weights:
        return output, None
    if mask is not None:
        sees = ops.any(mask, axis=layout.key_axes, keepdims=True)
        weights = ops.where(sees, weights, ops.zeros((), weights.dtype))
    return output, weights


def _scores(query: Any, key: Any, layout: ScoreLayout) -> Any:
    heads, key_heads = query.shape[-2], key.shape[-2]
    if heads == key_heads:
        return ops.einsum(layout.products[0], query, key)
    if layout != SEQUENCES:
        return ops.einsum(layout.products[0], query, ops.repeat(key, heads // key_heads, axis=-2))
    batch, length, _, size = ops.shape(query)
    query = ops.reshape(query, (batch, length, key_heads, heads // key_heads, size))  # (B, T, M, G, H)
    scores = ops.einsum("btmgh,bsmh->bmgts", query, key)
    return ops.reshape(scores, (batch, heads, length, ops.shape(key)[1]))


def _weighted(weights: Any, value: Any, layout: ScoreLayout) -> Any:
    heads, key_heads = weights.shape[-2 * len(layout.axes) - 1], value.shape[-2]
    if heads == key_heads:
        return ops.einsum(layout.products[1], weights, value)
    if layout != SEQUENCES:
        return ops.einsum(layout.products[1], weights, ops.repeat(value, heads // key_heads, axis=-2))
    batch, _, length, memory = ops.shape(weights)
    weights = ops.reshape(weights, (batch, key_heads, heads // key_heads, length, memory))
    output = ops.einsum("bmgts,bsmh->btmgh", weights, value)
    return ops.reshape(output, (batch, length, heads, value.shape[-1]))


def has_fused_attention() -> bool:
    """Say whether `keras.ops.dot_product_attention` runs a fused kernel on this backend; on TensorFlow it does not.

    >>> has_fused_attention() == (keras.backend.backend() in ("jax", "torch"))
    True
    """
    return keras.backend.backend() in ("jax", "torch")


def fused_attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    bias: Any = None,
    *,
    scale: float | None = None,
    causal: bool = False,
    flash: bool | None = None,
) -> Any:
    """`scaled_dot_product_attention` of sequences by the backend's own kernel, which never shows its weights.

    Args:
        query: (B, T, N, H).
        key: (B, S, M, H), M dividing N.
        value: (B, S, M, H).
        mask: None, or bool tensor of rank 4 that broadcasts to (B, N, T, S).
        bias: None, or float tensor of rank 4 that broadcasts to (B, N, T, S).
        scale: 1 / sqrt(H) if None.
        causal: whether later keys are hidden by the kernel itself; only for S == T and without mask or bias.
        flash: None lets the backend choose, True insists on flash attention, False forbids it.
    Returns:
        (B, T, N, H).

    >>> x = np.ones((1, 3, 2, 4), "float32")
    >>> tuple(fused_attention(x, x, x).shape)
    (1, 3, 2, 4)
    """
    mask, bias = fold_hiding_bias(mask, bias)
    extra = additive_mask(mask, bias, keras.backend.standardize_dtype(query.dtype))
    if key.shape[2] != query.shape[2]:
        key, value = (ops.repeat(x, query.shape[2] // x.shape[2], axis=2) for x in (key, value))
    output = ops.dot_product_attention(
        query, key, value, bias=extra, scale=scale, is_causal=causal, flash_attention=flash
    )
    return output if mask is None else _blank(output, mask, SEQUENCES)


def _blank(output: Any, mask: Any, layout: ScoreLayout) -> Any:
    """Zeros for queries that see nothing. Done on the output, which is smaller than the weights."""
    missing = layout.rank - 1 + len(layout.axes) - len(mask.shape)
    mask = ops.expand_dims(mask, tuple(range(missing))) if missing else mask
    sees = layout.rows(ops.any(mask, axis=layout.key_axes, keepdims=True))
    return ops.where(sees, output, ops.zeros((), output.dtype))
