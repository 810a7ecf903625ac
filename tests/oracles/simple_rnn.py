"""The layer-normalized plain recurrent layer by loops over time, samples and units."""

import math

import numpy as np
from oracles.over_time import normalized, over_time


def layer_norm_simple_rnn(x, weights, epsilon, h=None, mask=None, drop=None):
    """All outputs (B, T, N) and the last h, in float64.

    weights: W (D, N), U (N, N), b (N,), gain (N,). drop: factors of h (N,) before U.
    """
    kernel, recurrent, bias, gain = (np.asarray(w, "float64") for w in weights)
    units = recurrent.shape[0]
    drop = np.ones(units) if drop is None else np.asarray(drop)

    def step(x, h):
        return ([math.tanh(v) for v in normalized(list(x @ kernel + (h * drop) @ recurrent), gain, bias, epsilon)],)

    return over_time(step, x, (h,), units, mask)
