"""Attention and the transformer encoder block in NumPy, one query at a time, float64."""

import math

import numpy as np


def softmax_over(scores, seen):
    """Weights of the seen entries of a list of scores; zeros if none is seen."""
    weights = np.zeros(len(scores))
    if any(seen):
        top = max(score for score, see in zip(scores, seen, strict=True) if see)
        for i, (score, see) in enumerate(zip(scores, seen, strict=True)):
            weights[i] = math.exp(score - top) if see else 0.0
        weights /= weights.sum()
    return weights


def attention_loop(query, key, value, mask=None, bias=None):
    """(output (B, T, N, V), weights (B, N, T, S)) of query (B, T, N, H), key (B, S, N, H), value (B, S, N, V)."""
    batch, queries, heads, size = query.shape
    keys = key.shape[1]
    mask = np.broadcast_to(True if mask is None else mask, (batch, heads, queries, keys))
    bias = np.broadcast_to(0.0 if bias is None else bias, (batch, heads, queries, keys))
    output, weights = np.zeros((batch, queries, heads, value.shape[-1])), np.zeros((batch, heads, queries, keys))
    for b, n, t in np.ndindex(batch, heads, queries):
        scores = [key[b, s, n] @ query[b, t, n] / math.sqrt(size) + bias[b, n, t, s] for s in range(keys)]
        weights[b, n, t] = softmax_over(scores, mask[b, n, t])
        output[b, t, n] = sum(weights[b, n, t, s] * value[b, s, n] for s in range(keys))
    return output, weights


def causal_loop(queries, keys):
    """Visible keys when the last query stands beside the last key, bool (T, S)."""
    return np.array([[s - keys <= t - queries for s in range(keys)] for t in range(queries)])


def multi_head_attention_loop(query, value, weights, mask=None, bias=None):
    """(output, weights) of inputs (B, T, D) and (B, S, D); `weights` in the order of Keras's `get_weights`."""
    query_kernel, query_bias, key_kernel, key_bias, value_kernel, value_bias, out_kernel, out_bias = weights
    heads = [
        np.einsum("btd,dnh->btnh", x.astype("float64"), kernel) + offset
        for x, kernel, offset in (
            (query, query_kernel, query_bias),
            (value, key_kernel, key_bias),
            (value, value_kernel, value_bias),
        )
    ]
    output, scores = attention_loop(*heads, mask=mask, bias=bias)
    return np.einsum("btnh,nhd->btd", output, out_kernel) + out_bias, scores


def layer_norm_loop(x, scale, offset, epsilon):
    """Layer normalization over the last axis, one vector at a time."""
    out = np.zeros(x.shape)
    for index in np.ndindex(x.shape[:-1]):
        mean, variance = x[index].mean(), ((x[index] - x[index].mean()) ** 2).mean()
        out[index] = (x[index] - mean) / math.sqrt(variance + epsilon) * scale + offset
    return out


def encoder_block_loop(x, attend, norms, dense, placement, epsilon):
    """A block without dropout and with ReLU: `attend(x)`, two (scale, offset), two (kernel, bias); "pre" or "post"."""

    def feed_forward(h):
        return np.maximum(h @ dense[0][0] + dense[0][1], 0) @ dense[1][0] + dense[1][1]

    if placement == "pre":
        x = x + attend(layer_norm_loop(x, *norms[0], epsilon))
        return x + feed_forward(layer_norm_loop(x, *norms[1], epsilon))
    x = layer_norm_loop(x + attend(x), *norms[0], epsilon)
    return layer_norm_loop(x + feed_forward(x), *norms[1], epsilon)
