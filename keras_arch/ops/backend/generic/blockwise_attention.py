"""Attention in runs of queries, computed again for the gradient, in keras.ops."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_arch.ops.attention import all_shown, scaled_dot_product_attention
from keras_arch.ops.tile_plan import runs, seen_keys

ROWS = 256


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
    drop: Callable[[Any], Any] | None = None,
    rows: int = ROWS,
) -> Any:
    """What `keras_arch.ops.backend.tensorflow.blockwise_attention` computes, for backends whose lengths are known.

    Each run of C queries attends to the keys it can see, and forgets its weights; they are computed again for the
    gradient, unless they are dropped, whose random numbers would differ.

    Args:
        query: (B, T, N, H), scaled.
        key: (B, S, M, H), M dividing N.
        value: (B, S, M, V).
        masks: bool tensors of rank 4 that broadcast to (B, N, T, S), True where seen.
        bias: None, or float tensor of rank 4 that broadcasts to (B, N, T, S).
        bias_between: None, or what gives (N, C, S) or (B, N, C, S) from positions.
        query_positions: None for places that end beside the last key, or int (T,) or (B, T).
        key_positions: None for places from 0, or int (S,) or (B, S).
        causal: whether later keys are hidden, the last query standing beside the last key.
        window: None, or how many steps before and after itself a query sees, its own included.
        soft_cap: None, or c in c tanh(score / c).
        sinks: None, or float (N,).
        drop: what is done to the weights before they meet the values.
        rows: C.
    Returns:
        (B, T, N, V); zeros for a query that sees nothing.

    >>> x = np.ones((1, 5, 2, 4), "float32")
    >>> tuple(blockwise_attention(x, x, x, causal=True, rows=2).shape)
    (1, 5, 2, 4)
    """
    query, key, value = (ops.convert_to_tensor(x) for x in (query, key, value))
    masks = [ops.convert_to_tensor(mask, dtype="bool") for mask in masks]
    bias = None if bias is None else ops.convert_to_tensor(bias)
    length, memory = query.shape[1], key.shape[1]
    outputs = []
    for start, stop in runs(length, rows):
        low, high = seen_keys(start, stop, length, memory, causal, window)

        def cut(tensor: Any, start: int = start, stop: int = stop, low: int = low, high: int = high) -> Any:
            tensor = tensor if tensor.shape[2] == 1 else tensor[:, :, start:stop]
            return tensor if tensor.shape[3] == 1 else tensor[:, :, :, low:high]

        seen = [cut(mask) for mask in masks]
        queries, keys = ops.arange(start, stop) + memory - length, ops.arange(low, high)
        lead = ops.expand_dims(queries, 1) - ops.expand_dims(keys, 0)
        if causal:
            seen.append(lead >= 0)
        if window is not None:
            seen.append(ops.abs(lead) < window)
        part = None if bias is None else cut(bias)
        if bias_between is not None:
            queries = queries if query_positions is None else query_positions[..., start:stop]
            keys = keys if key_positions is None else key_positions[..., low:high]
            between = bias_between(queries, keys)
            part = between if part is None else part + between

        def attend(query: Any, key: Any, value: Any, part: Any = part, seen: list = seen, sinks: Any = sinks) -> Any:
            return scaled_dot_product_attention(
                query, key, value, all_shown(seen), part, scale=1.0, soft_cap=soft_cap, sinks=sinks, drop=drop
            )[0]

        attend = attend if drop else keras.remat(attend)
        outputs.append(attend(query[:, start:stop], key[:, low:high], value[:, low:high]))
    return ops.concatenate(outputs, axis=1)
