"""Attention of sequences with all its options in NumPy, one query at a time, float64, and cases to compare with it."""

import math

import numpy as np

LENGTHS = {"square": (9, 9), "newest queries": (4, 11), "more queries than keys": (10, 6)}
OPTIONS = ("plain", "bias", "mask", "padding", "soft_cap", "sinks", "between", "all")
ORDERS = {
    "full": {},
    "causal": {"causal": True},
    "window": {"window": 3},
    "causal window": {"causal": True, "window": 3},
}


def sequence_attention_loop(
    query,
    key,
    value,
    masks=(),
    bias=None,
    *,
    scale=1.0,
    causal=False,
    window=None,
    soft_cap=None,
    sinks=None,
    between=None,
):
    """Output (B, T, N, V) and weights (B, N, T, S) of query (B, T, N, H), key (B, S, M, H), value (B, S, M, V)."""
    query, key, value = (np.asarray(x, "float64") for x in (query, key, value))
    (batch, length, heads, _), (_, memory, key_heads, _) = query.shape, key.shape
    shape = (batch, heads, length, memory)
    seen = np.ones(shape, "bool")
    for mask in masks:
        seen &= np.broadcast_to(np.asarray(mask), shape)
    bias = np.broadcast_to(0.0 if bias is None else np.asarray(bias, "float64"), shape)
    output, weights = np.zeros((batch, length, heads, value.shape[-1])), np.zeros(shape)
    for b, n, t in np.ndindex(batch, heads, length):
        head, here, total = n // (heads // key_heads), t + memory - length, 0.0
        for s in range(memory):
            if not seen[b, n, t, s] or (causal and s > here) or (window and abs(here - s) >= window):
                continue
            score = scale * float(query[b, t, n] @ key[b, s, head])
            if soft_cap:
                score = soft_cap * math.tanh(score / soft_cap)
            score += bias[b, n, t, s] + (0.0 if between is None else between(n, here, s))
            weights[b, n, t, s] = math.exp(score)
        total = weights[b, n, t].sum() + (0.0 if sinks is None or not weights[b, n, t].any() else math.exp(sinks[n]))
        if total:
            weights[b, n, t] /= total
        output[b, t, n] = weights[b, n, t] @ value[b, :, head]
    return output, weights


class LinearBias:
    """A bias without weights that falls with the distance, faster for later heads."""

    weights = ()
    depends_on_distance_only = True

    def between(self, query_positions, key_positions):
        """(N, T, S) for N = 4."""
        from keras import ops

        distance = ops.abs(ops.expand_dims(query_positions, 1) - ops.expand_dims(key_positions, 0))
        slopes = np.array([0.1, 0.2, 0.3, 0.4], "float32")[:, None, None]
        return ops.cast(ops.expand_dims(distance, 0), "float32") * ops.convert_to_tensor(-slopes)

    @staticmethod
    def loop(head, query, key):
        """The same for one score."""
        return -0.1 * (head + 1) * abs(query - key)


def case(options, lengths, key_heads=4, seed=0):
    """(query, key, value, masks, bias) with 4 heads, and keyword arguments, for one of `OPTIONS`."""
    rng = np.random.default_rng(seed)
    length, memory = lengths

    def draw(*shape):
        return rng.standard_normal(shape).astype("float32")

    tensors = [draw(2, length, 4, 3), draw(2, memory, key_heads, 3), draw(2, memory, key_heads, 5)]
    masks, bias, keywords = (), None, {}
    if options in ("mask", "all"):
        mask = rng.random((1, 4, length, memory)) < 0.5
        mask[0, :, 0] = False
        masks = (mask,)
    if options in ("padding", "all"):
        masks = (*masks, (np.arange(memory) < np.array([[memory], [memory - 3]]))[:, None, None])
    if options in ("bias", "all"):
        bias = draw(2, 1, length, memory)
        bias[0, 0, -1, 0] = -np.inf
    if options in ("soft_cap", "all"):
        keywords["soft_cap"] = 1.5
    if options in ("sinks", "all"):
        keywords["sinks"] = draw(4)
    if options in ("between", "all"):
        keywords["position_bias"] = LinearBias()
    return (*tensors, masks, bias), keywords


def expected(arguments, keywords, **order):
    """The loop's answer to a case."""
    keywords = dict(keywords)
    between = LinearBias.loop if keywords.pop("position_bias", None) else None
    return sequence_attention_loop(*arguments, between=between, **keywords, **order)
