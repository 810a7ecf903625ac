"""Attention of sequences by the implementation that suits their lengths and the backend."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.ops.attention import (
    all_shown,
    causal_mask,
    fold_hiding_bias,
    fused_attention,
    has_fused_attention,
    scaled_dot_product_attention,
    window_mask,
)
from keras_arch.ops.backend.generic.blockwise_attention import blockwise_attention as generic_blockwise_attention
from keras_arch.ops.banded_attention import banded_attention

IMPLEMENTATIONS = ("auto", "dense", "blockwise", "banded")
MANY_SCORES = 1024**2  # scores per head from which tiles are faster than writing all of them, measured on a CPU
FEW_WEIGHTS = 2**26  # weights, of all heads and samples, that may wait for their gradient: 256 MB in float32


def sequence_attention(
    query: Any,
    key: Any,
    value: Any,
    masks: tuple = (),
    bias: Any = None,
    *,
    implementation: str = "auto",
    position_bias: Any = None,
    query_positions: Any = None,
    key_positions: Any = None,
    scale: float,
    causal: bool = False,
    window: int | None = None,
    soft_cap: float | None = None,
    sinks: Any = None,
    dropout: Any = None,
    flash: bool | None = None,
    return_weights: bool = False,
) -> tuple[Any, Any]:
    """Scaled dot-product attention by scores, tiles, a band or the backend's own kernel; all give the same.

    "dense" writes all scores; "blockwise" never holds more than a tile of them; "banded" computes those in the window
    only. "auto" takes the band where a window spans less than half of the keys, the backend's fused kernel on JAX and
    PyTorch, tiles from 1024 x 1024 known scores per head or where TensorFlow's are faster than the band, and else
    writes all scores; at most 2**26 weights of a layer whose batch size is known then wait for the gradient, which
    "blockwise" always computes again. Weights that are asked for are always written.

    Args:
        query: (B, T, N, H).   B: batch, T: query length, N: heads, H: features per head.
        key: (B, S, M, H), M dividing N.   S: key length.
        value: (B, S, M, V).
        masks: bool tensors of rank 4 that broadcast to (B, N, T, S), True where seen.
        bias: None, or float tensor of rank 4 that broadcasts to (B, N, T, S); -32752 and below hides.
        implementation: one of `IMPLEMENTATIONS`.
        position_bias: None, or a bias with `between(query_positions, key_positions)`.
        query_positions: None for places that end beside the last key, or int (T,) or (B, T).
        key_positions: None for places from 0, or int (S,) or (B, S).
        scale: of the scores.
        causal: whether later keys are hidden, the last query standing beside the last key.
        window: None, or how many steps before and after itself a query sees, its own included.
        soft_cap: None, or c in c tanh(score / c).
        sinks: None, or float (N,): a score per head that takes part in the sum and has no value.
        dropout: None, or a `keras.layers.Dropout` that acts on the weights now.
        flash: None lets the backend choose its kernel, True insists on flash attention, False forbids it.
        return_weights: whether the weights are wanted.
    Returns:
        (output, weights): (B, T, N, V) and (B, N, T, S) before dropout, or None.
    Raises:
        ValueError: for "banded" without a window.

    >>> x = np.ones((1, 5, 2, 4), "float32")
    >>> output, _ = sequence_attention(x, x, x, scale=0.5, implementation="blockwise", causal=True)
    >>> tuple(output.shape)
    (1, 5, 2, 4)
    """
    if implementation == "banded" and window is None:
        raise check.refuse("implementation", 'can be "banded" with a sliding_window only', implementation, "Give one.")
    causal, lengths = bool(causal), (query.shape[1], key.shape[1])
    plain = soft_cap is None and sinks is None and dropout is None and position_bias is None
    fused = has_fused_attention() and plain and query.shape[3] == value.shape[3]  # JAX's kernel has one size for both
    chosen = "dense" if return_weights else implementation
    if chosen == "auto":
        chosen = "dense" if flash and not fused else _choose(lengths, window, fused)
        if chosen == "banded" and position_bias is None and _fits_tiles(query, key, causal, window):
            chosen = "blockwise"
    has_weights = position_bias is not None and bool(position_bias.weights)
    moves = query_positions is not None or key_positions is not None
    shifts = getattr(position_bias, "depends_on_distance_only", False) and not moves
    between = None
    if position_bias is not None:
        if (chosen == "blockwise" and not has_weights) or (chosen == "banded" and shifts):
            between = position_bias.between
        else:
            bias = _with(bias, position_bias, query, key, query_positions, key_positions)
    common = {"bias_between": between, "causal": causal, "soft_cap": soft_cap, "sinks": sinks}
    drop = None if dropout is None else lambda weights: dropout(weights, training=True)
    query = ops.convert_to_tensor(query)

    if chosen == "banded":
        return banded_attention(query * scale, key, value, window, masks, bias, drop=drop, **common), None
    if chosen == "blockwise" and 0 not in lengths:  # no queries or no keys make no tile
        common |= {"window": window, "query_positions": query_positions, "key_positions": key_positions}
        if keras.backend.backend() != "tensorflow":
            return generic_blockwise_attention(query * scale, key, value, masks, bias, drop=drop, **common), None
        from keras_arch.ops.backend.tensorflow.blockwise_attention import blockwise_attention

        if dropout is not None:
            common |= {"dropout": dropout.rate, "seed": dropout.seed_generator.next()}
        common["may_keep"] = FEW_WEIGHTS if implementation == "auto" else 0
        return blockwise_attention(query * scale, key, value, masks, bias, **common), None

    by_kernel = causal and fused and chosen == "fused" and not masks and bias is None and window is None
    by_kernel = by_kernel and lengths[0] == lengths[1]
    mask = _all(masks, query, key, causal and not by_kernel, window)
    if chosen == "fused":
        flash = keras.config.is_flash_attention_enabled() if flash is None else flash
        return fused_attention(query, key, value, mask, bias, scale=scale, causal=by_kernel, flash=flash), None
    return scaled_dot_product_attention(
        query,
        key,
        value,
        mask,
        bias,
        scale=scale,
        soft_cap=soft_cap,
        sinks=sinks,
        drop=drop,
        return_weights=return_weights,
    )


def _choose(lengths: tuple, window: int | None, fused: bool) -> str:
    length, memory = lengths
    known = length is not None and memory is not None
    if window is not None and known and length > 1 and 2 * window < memory:
        return "banded"
    if fused:
        return "fused"
    return "blockwise" if known and length > 1 and length * memory >= MANY_SCORES else "dense"


def _fits_tiles(query: Any, key: Any, causal: bool, window: int) -> bool:
    """Whether TensorFlow's tiles take a band without a loop: their gradient costs half as much as the band's."""
    if keras.backend.backend() != "tensorflow":
        return False
    from keras_arch.ops.backend.tensorflow.blockwise_attention import tiling

    lengths, heads = (query.shape[1], key.shape[1]), (query.shape[2], key.shape[2])
    return query.shape[1] * window >= MANY_SCORES and tiling(query.shape[0], heads, lengths, causal, window) is not None


def _with(bias: Any, position_bias: Any, query: Any, key: Any, query_positions: Any, key_positions: Any) -> Any:
    """The whole bias of the positions, and the given one."""
    length, memory = ops.shape(query)[1], ops.shape(key)[1]
    if query_positions is None:
        query_positions = ops.arange(length, dtype="int32") + (memory - length)
    if key_positions is None:
        key_positions = ops.arange(memory, dtype="int32")
    own = ops.convert_to_tensor(position_bias.between(query_positions, key_positions))
    own = ops.expand_dims(own, 0) if len(own.shape) == 3 else own
    if bias is None:
        return own
    mask, bias = fold_hiding_bias(None, ops.cast(bias, own.dtype))
    return ops.where(mask, own + bias, ops.cast(-32752.0, own.dtype))


def _all(masks: tuple, query: Any, key: Any, causal: bool, window: int | None) -> Any:
    """All masks in one, (B or 1, N or 1, T or 1, S or 1), or None."""
    parts, lengths = list(masks), (ops.shape(query)[1], ops.shape(key)[1])
    if causal:
        parts.append(causal_mask(*lengths)[None, None])
    if window is not None:
        parts.append(window_mask(*lengths, window)[None, None])
    return all_shown(parts)
