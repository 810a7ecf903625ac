"""Attention in time and memory linear in the length: products of features in place of the softmax."""

from typing import Any

import keras
from keras import ops

from keras_arch.ops.precision import at_least_float32


def elu_features(x: Any) -> Any:
    """elu(x) + 1, which is x + 1 above 0 and exp(x) below, without the cancellation of adding 1 to exp(x) - 1.

    Source: Katharopoulos et al. 2020, arXiv:2006.16236, equation 7.

    >>> keras.ops.convert_to_numpy(elu_features(np.array([2.0, 0.0, -1.0], "float32"))).round(4).tolist()
    [3.0, 1.0, 0.367900013923645]
    """
    x = ops.convert_to_tensor(x)
    return ops.relu(x) + ops.exp(-ops.relu(-x))


def relu_features(x: Any) -> Any:
    """max(x, 0) + 0.001: the small rest keeps a query whose features are all negative from dividing by 0.

    Source: Choromanski et al. 2021, arXiv:2009.14794, section 4.

    >>> keras.ops.convert_to_numpy(relu_features(np.array([2.0, -1.0], "float32"))).round(3).tolist()
    [2.000999927520752, 0.0010000000474974513]
    """
    return ops.relu(x) + 1e-3


FEATURE_MAPS = {"elu": elu_features, "relu": relu_features, "softplus": ops.softplus}


def linear_attention(
    query: Any,
    key: Any,
    value: Any,
    key_mask: Any = None,
    *,
    causal: bool = False,
    sums: Any = None,
    chunk: int = 128,
) -> tuple[Any, Any]:
    """Attention with weights that are products of features: sums over the keys are taken once, for all queries.

    output[t] = q[t] M[t] / q[t] z[t],  M[t] = sum of k[s] v[s]^T,  z[t] = sum of k[s], over the keys s that t sees.

    Without `causal` a query sees every key. With it, the last query stands beside the last key and sees no later one;
    the sequence is cut into chunks, dense inside, with the sums of all earlier chunks carried in: O(T chunk) work.
    A query that sees nothing gets zeros. Everything is computed in float32 or wider and cast last.

    Args:
        query: q, (B, T, N, R), features >= 0 of each query.   B: batch, T: query length, N: heads, R: features.
        key: k, (B, S, N, R), features >= 0 of each key.   S: key length.
        value: v, (B, S, N, V).
        key_mask: bool (B, S), True for keys that count; None for all.
        causal: whether a query sees no later key.
        sums: (B, N, R, V + 1) of keys before these, [M z], which every query sees; None for none.
        chunk: steps in a chunk, >= 1.
    Returns:
        (output (B, T, N, V) in the dtype of `value`, sums after the last key (B, N, R, V + 1)).
    Source: Katharopoulos et al. 2020, arXiv:2006.16236, equations 6 and 9; chunks: Hua et al. 2022, arXiv:2202.10447.

    >>> x = np.ones((1, 4, 1, 1), "float32")
    >>> value = np.arange(4, dtype="float32").reshape(1, 4, 1, 1)
    >>> keras.ops.convert_to_numpy(linear_attention(x, x, value, causal=True)[0]).ravel().tolist()
    [0.0, 0.5, 1.0, 1.5]
    """
    value = ops.convert_to_tensor(value)
    dtype = keras.backend.standardize_dtype(value.dtype)
    wide = at_least_float32(dtype)
    query, key, value = (ops.cast(x, wide) for x in (query, key, value))
    value = ops.concatenate([value, ops.ones_like(value[..., :1])], axis=-1)  # (B, S, N, V + 1), z beside M
    if key_mask is not None:
        shown = ops.cast(key_mask, "bool")[:, :, None, None]
        key, value = (ops.where(shown, x, ops.zeros((), wide)) for x in (key, value))
    if causal:
        output, sums = _causal(query, key, value, sums, chunk)
    else:
        new = ops.einsum("bsnr,bsnv->bnrv", key, value)
        sums = new if sums is None else sums + new
        output = ops.einsum("btnr,bnrv->btnv", query, sums)
    return ops.cast(_divided(output), dtype), sums


def read_sums(query: Any, sums: Any) -> Any:
    """What queries get from keys of which only the sums are left: q M / q z, in the dtype of the sums.

    Args:
        query: (B, T, N, R), features >= 0.
        sums: (B, N, R, V + 1), see `linear_attention`.
    Returns:
        (B, T, N, V).

    >>> sums = np.array([[[[3.0, 2.0]]]], "float32")
    >>> keras.ops.convert_to_numpy(read_sums(np.ones((1, 1, 1, 1), "float32"), sums)).tolist()
    [[[[1.5]]]]
    """
    sums = ops.convert_to_tensor(sums)
    return _divided(ops.einsum("btnr,bnrv->btnv", ops.cast(query, sums.dtype), sums))


def linear_attention_weights(query: Any, key: Any, mask: Any = None) -> Any:
    """The weights that linear attention never forms: q[t] k[s] over its sum along s, in O(T S) memory.

    Args:
        query: (B, T, N, R), features >= 0.
        key: (B, S, N, R), features >= 0.
        mask: None, or bool tensor that broadcasts to (B, N, T, S), True where seen.
    Returns:
        (B, N, T, S); a row that sees nothing is all zeros.

    >>> x = np.array([1.0, 3.0], "float32").reshape(1, 2, 1, 1)
    >>> keras.ops.convert_to_numpy(linear_attention_weights(x, x))[0, 0].tolist()
    [[0.25, 0.75], [0.25, 0.75]]
    """
    products = ops.einsum("btnr,bsnr->bnts", query, key)
    if mask is not None:
        products = ops.where(mask, products, ops.zeros((), products.dtype))
    return _divided(ops.concatenate([products, ops.sum(products, axis=-1, keepdims=True)], axis=-1))


def _divided(sums: Any) -> Any:
    """All but the last column divided by the last; zeros where that is 0."""
    total = sums[..., -1:]
    sees = ops.greater(total, 0)
    safe = ops.where(sees, total, ops.ones((), sums.dtype))  # no 0 / 0 in the gradient
    return ops.where(sees, sums[..., :-1] / safe, ops.zeros((), sums.dtype))


def _causal(query: Any, key: Any, value: Any, sums: Any, chunk: int) -> tuple[Any, Any]:
    """Undivided outputs (B, T, N, V + 1) and the sums after the last key; padding in front aligns the last steps."""
    queries, keys = ops.shape(query)[1], ops.shape(key)[1]
    known = isinstance(queries, int) and isinstance(keys, int)
    length = max(queries, keys) if known else ops.maximum(queries, keys)
    chunk = max(1, min(chunk, length)) if known else chunk
    count = (length + chunk - 1) // chunk
    query, key, value = (_chunks(x, count, chunk) for x in (query, key, value))  # (B, N, G, C, ·), G: chunks

    weights = ops.matmul(query, ops.swapaxes(key, -1, -2)) * ops.tril(ops.ones((chunk, chunk), query.dtype))
    added = ops.matmul(ops.swapaxes(key, -1, -2), value)  # (B, N, G, R, V + 1)
    first = ops.zeros_like(added[:, :, :1]) if sums is None else ops.cast(sums, added.dtype)[:, :, None]
    carried = ops.cumsum(ops.concatenate([first, added], axis=2), axis=2)  # (B, N, G + 1, R, V + 1)
    output = ops.matmul(weights, value) + ops.matmul(query, carried[:, :, :-1])
    output = ops.reshape(output, (*ops.shape(output)[:2], count * chunk, output.shape[-1]))  # (B, N, G C, V + 1)
    output = ops.transpose(output[:, :, count * chunk - queries :], (0, 2, 1, 3))  # (B, T, N, V + 1)
    return output, carried[:, :, -1]


def _chunks(x: Any, count: Any, chunk: int) -> Any:
    """(B, L, N, F) with zeros in front up to a length of count * chunk, cut into (B, N, count, chunk, F)."""
    batch, length, heads, features = ops.shape(x)
    x = ops.transpose(x, (0, 2, 1, 3))  # (B, N, L, F)
    padding = count * chunk - length
    if not (isinstance(padding, int) and padding == 0):
        x = ops.concatenate([ops.zeros((batch, heads, padding, features), x.dtype), x], axis=2)
    return ops.reshape(x, (batch, heads, count, chunk, features))
