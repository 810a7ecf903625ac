"""Layer-normalized gated recurrent units by loops over time, samples and units."""

import math

import numpy as np
from oracles.over_time import normalized, over_time, sigmoid


def layer_norm_gru(x, weights, epsilon, reset_after, h=None, mask=None, drop=None):
    """All outputs (B, T, N) and the last h, in float64.

    weights: W (D, 3N), U (N, 3N), b (2, 3N) if reset_after else (3N,), gain and shift of the norms of x and h for the
    gates (2N,), then for the candidate (N,). The update and the reset gate share their statistics. drop: factors of h
    (N,) before U.
    """
    kernel, recurrent, bias, *norms = (np.asarray(w, "float64") for w in weights)
    g1, b1, g2, b2 = (np.concatenate([norms[i], norms[i + 4]]) for i in range(4))
    units = recurrent.shape[0]
    drop = np.ones(units) if drop is None else np.asarray(drop)
    bias_x, bias_h = bias if reset_after else (bias, np.zeros(3 * units))
    gates, rest = slice(0, 2 * units), slice(2 * units, None)

    def normalized_part(product, part, gain, shift, bias):
        return [
            p + q for p, q in zip(normalized(list(product), gain[part], shift[part], epsilon), bias[part], strict=True)
        ]

    def step(x, h):
        from_x = normalized_part((x @ kernel)[gates], gates, g1, b1, bias_x)
        from_h = normalized_part(((h * drop) @ recurrent)[gates], gates, g2, b2, bias_h)
        update = [sigmoid(from_x[u] + from_h[u]) for u in range(units)]
        reset = [sigmoid(from_x[units + u] + from_h[units + u]) for u in range(units)]
        from_x = normalized_part((x @ kernel)[rest], rest, g1, b1, bias_x)
        seen = h * drop if reset_after else h * drop * np.array(reset)
        from_h = normalized_part((seen @ recurrent)[rest], rest, g2, b2, bias_h)
        after = []
        for u in range(units):
            candidate = math.tanh(from_x[u] + (reset[u] if reset_after else 1.0) * from_h[u])
            after.append(update[u] * h[u] + (1 - update[u]) * candidate)
        return (after,)

    return over_time(step, x, (h,), units, mask)
