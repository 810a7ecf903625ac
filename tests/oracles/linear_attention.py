"""Linear attention in NumPy, one query and one key at a time, float64, with all T S weights written out."""

import math

import numpy as np


def elu_plus_one(x):
    return np.vectorize(lambda z: z + 1 if z > 0 else math.exp(z))(np.asarray(x, "float64"))


def linear_attention_loop(query, key, value, seen=None):
    """(output (B, T, N, V), weights (B, N, T, S)) of features (B, T, N, R), (B, S, N, R); `seen` bool (B, T, S)."""
    batch, queries, heads, _ = query.shape
    keys = key.shape[1]
    seen = np.ones((batch, queries, keys), bool) if seen is None else np.broadcast_to(seen, (batch, queries, keys))
    output, weights = np.zeros((batch, queries, heads, value.shape[-1])), np.zeros((batch, heads, queries, keys))
    for b, n, t in np.ndindex(batch, heads, queries):
        products = [
            float(query[b, t, n].astype("float64") @ key[b, s, n]) if seen[b, t, s] else 0.0 for s in range(keys)
        ]
        if sum(products) > 0:
            weights[b, n, t] = np.array(products) / sum(products)
            output[b, t, n] = sum(weights[b, n, t, s] * value[b, s, n] for s in range(keys) if seen[b, t, s])
    return output, weights


def linear_attention_layer_loop(query, value, weights, seen=None, features=elu_plus_one):
    """Output of inputs (B, T, D) and (B, S, D'); `weights` in the order of Keras's attention."""
    query_kernel, query_bias, key_kernel, key_bias, value_kernel, value_bias, out_kernel, out_bias = weights
    q = np.einsum("btd,dnh->btnh", query, query_kernel) + query_bias
    k = np.einsum("bsd,dnh->bsnh", value, key_kernel) + key_bias
    v = np.einsum("bsd,dnh->bsnh", value, value_kernel) + value_bias
    heads, _ = linear_attention_loop(features(q), features(k), v, seen)
    return np.einsum("btnh,nhd->btd", heads, out_kernel) + out_bias
