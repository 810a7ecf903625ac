"""What the queries of a call look at: keys and values turned by their positions, and those of a cache."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.layers.attention.kv_cache import KVCache, known_integer
from keras_arch.ops.attention import causal_mask, window_mask


@dataclass(frozen=True)
class Lookup:
    """Queries and all that decides what they see.

    B: batch, T: queries, S: keys, N: heads, M: key heads, H, V: features per head.

    Args:
        query: (B, T, N, H), turned by its positions.
        key: (B, S, M, H), likewise.
        value: (B, S, M, V).
        masks: bool tensors that broadcast to the scores (B, N, T, S).
        causal: whether later keys are hidden, the last query standing beside the last key.
        window: None, or how many steps before and after itself a query sees.
        query_positions: None, or int (T,) or (B, T), for a position bias.
        key_positions: None, or int (S,) or (B, S), likewise.
        carried: None, or the cache for the next call.

    >>> Lookup(None, None, None).masks
    ()
    """

    query: Any
    key: Any
    value: Any
    masks: tuple = ()
    causal: bool = False
    window: int | None = None
    query_positions: Any = None
    key_positions: Any = None
    carried: KVCache | None = None


def look_up(
    query: Any,
    key: Any,
    value: Any,
    masks: tuple,
    *,
    rotary: keras.layers.Layer | None,
    query_positions: Any,
    key_positions: Any,
    causal: bool,
    window: int | None,
) -> Lookup:
    """Attention without a cache: keys stand from 0, the last query beside the last key, unless positions are given.

    >>> x = np.ones((1, 3, 2, 4), "float32")
    >>> options = dict(rotary=None, query_positions=None, key_positions=None, causal=True, window=None)
    >>> tuple(look_up(x, x, x, (), **options).key.shape)
    (1, 3, 2, 4)
    """
    length, memory = ops.shape(query)[1], ops.shape(key)[1]
    known = isinstance(length, int) and isinstance(memory, int)
    if query_positions is not None and key_positions is None and known and length == memory:
        key_positions = query_positions
    if rotary is not None:
        total = memory
        if query_positions is not None or key_positions is not None:
            given = [ops.max(ops.cast(p, "int32")) for p in (query_positions, key_positions) if p is not None]
            total = (given[0] if len(given) == 1 else ops.maximum(*given)) + 1
        start = 0 if query.shape[1] is not None and query.shape[1] == key.shape[1] else memory - length
        query = turn(rotary, query, query_positions, start, total)
        key = turn(rotary, key, key_positions, 0, total)
    return Lookup(query, key, value, masks, causal, window, query_positions, key_positions)


def look_up_cached(
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    cache: KVCache,
    *,
    rotary: keras.layers.Layer | None,
    query_positions: Any,
    key_positions: Any,
    causal: bool,
    window: int | None,
) -> Lookup:
    """Attention to a cache and, unless `key` is None, the steps of this call, which join it.

    Args:
        query: (B, T, N, H).
        key: None, or (B, T, M, H): the new steps.
        value: None, or (B, T, M, V).
        mask: None, or bool (B, T), False where a new step is padding.
        cache: what is remembered.
        rotary: None, or what turns queries and keys.
        query_positions: None to count on from the cache, or int (T,) or (B, T).
        key_positions: None for those of the queries, or int (T,) or (B, T).
        causal: whether later keys are hidden.
        window: None, or how many steps before and after itself a query sees.
    Raises:
        ValueError: if the new steps do not fit.
    """
    steps = ops.shape(query)[1]
    total = cache.length if key is None else cache.length + steps
    order = ops.arange(steps, dtype="int32") + (total - steps)
    query_positions = order if query_positions is None else ops.cast(query_positions, "int32")
    again = rotary is not None and getattr(rotary, "depends_on_length", False)  # all keys turn with each new step
    number = known_integer(total) if again else None
    total_length = total if number is None else number
    if rotary is not None:
        query = turn(rotary, query, query_positions, 0, total_length)
    if key is None:
        seen = carried = cache
    else:
        if query.shape[1] is not None and key.shape[1] != query.shape[1]:
            advice = "With a cache, pass the new steps as query and as value."
            raise check.refuse("value", "must have the steps of the query", tuple(key.shape), advice)
        positions = query_positions if key_positions is None else key_positions
        stored = key if again or rotary is None else turn(rotary, key, positions, 0, total_length)
        seen, carried = cache.extended(stored, value, positions, mask)
    keys = ops.cast(seen.key, query.dtype)
    keys = turn(rotary, keys, seen.positions, 0, total_length) if again else keys
    masks = [seen.mask[:, None, None, :]]
    if seen.kind != "growing" and key is not None:  # slots beyond the last step, or before the first
        lead = ops.expand_dims(order, 1) - ops.expand_dims(seen.order, 0)  # (T, C)
        if causal:
            masks.append((lead >= 0)[None, None])
        if window is not None:
            masks.append((ops.abs(lead) < window)[None, None])
        causal, window = False, None
    return Lookup(
        query,
        keys,
        ops.cast(seen.value, query.dtype),
        tuple(masks),
        causal,
        window,
        query_positions,
        seen.positions,
        carried,
    )


def turn(rotary: keras.layers.Layer, heads: Any, positions: Any, start: Any, length: Any) -> Any:
    """Turn (B, T, N, H) by positions, or by counting from `start`."""
    given = {"start_index": start} if positions is None else {"positions": positions}
    if getattr(rotary, "depends_on_length", False):
        given["length"] = length
    return ops.cast(rotary(heads, **given), heads.dtype)  # the rotary layer may have another precision


def order_masks(query: Any, key: Any, axes: tuple[int, int], causal: bool, window: int | None) -> list:
    """The masks of order, (T, S), for queries and keys along one axis each.

    >>> [tuple(mask.shape) for mask in order_masks(np.ones((1, 2)), np.ones((1, 3)), (1, 1), True, None)]
    [(2, 3)]
    """
    lengths = ops.shape(query)[axes[0]], ops.shape(key)[axes[1]]
    masks = [causal_mask(*lengths)] if causal else []
    return masks if window is None else [*masks, window_mask(*lengths, window)]
