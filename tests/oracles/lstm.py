"""Long short-term memory by loops over time, samples and units: layer-normalized, with peepholes, with coupled gates.

Each gives all outputs (B, T, N) and the last h and c, in float64. A step whose mask is false repeats the output and
keeps the state. drop: factors of h (N,) before U.
"""

import math

import numpy as np
from oracles.over_time import normalized, over_time, sigmoid


def layer_norm_lstm(x, weights, epsilon, h=None, c=None, mask=None, drop=None):
    """weights: W (D, 4N), U (N, 4N), b (4N,), then gain and shift of the inputs' (4N,), the state's (4N,) and the
    carry's (N,) norm.
    """
    kernel, recurrent, bias, g1, b1, g2, b2, g3, b3 = (np.asarray(w, "float64") for w in weights)
    units = recurrent.shape[0]
    drop = np.ones(units) if drop is None else np.asarray(drop)

    def step(x, h, c):
        from_inputs = normalized(list(x @ kernel), g1, b1, epsilon)
        from_state = normalized(list((h * drop) @ recurrent), g2, b2, epsilon)
        z = [p + q + s for p, q, s in zip(from_inputs, from_state, bias, strict=True)]
        carry = []
        for u in range(units):
            enter, keep, candidate = sigmoid(z[u]), sigmoid(z[units + u]), math.tanh(z[2 * units + u])
            carry.append(keep * c[u] + enter * candidate)
        c = normalized(carry, g3, b3, epsilon)
        return [sigmoid(z[3 * units + u]) * math.tanh(c[u]) for u in range(units)], c

    return over_time(step, x, (h, c), units, mask)


def peephole_lstm(x, weights, h=None, c=None, mask=None, drop=None):
    """weights: W (D, 4N), U (N, 4N), b (4N,), peepholes (N,) of the input, the forget and the output gate."""
    kernel, recurrent, bias, *peepholes = (np.asarray(w, "float64") for w in weights)
    units = recurrent.shape[0]
    drop = np.ones(units) if drop is None else np.asarray(drop)

    def step(x, h, c):
        z = x @ kernel + (h * drop) @ recurrent + bias
        new_h, new_c = [], []
        for u in range(units):
            enter = sigmoid(z[u] + peepholes[0][u] * c[u])
            keep = sigmoid(z[units + u] + peepholes[1][u] * c[u])
            new_c.append(keep * c[u] + enter * math.tanh(z[2 * units + u]))
            leave = sigmoid(z[3 * units + u] + peepholes[2][u] * new_c[u])
            new_h.append(leave * math.tanh(new_c[u]))
        return new_h, new_c

    return over_time(step, x, (h, c), units, mask)


def coupled_gate_lstm(x, weights, h=None, c=None, mask=None, drop=None):
    """weights: W (D, 3N), U (N, 3N), b (3N,), the gates in the order forget, candidate, output."""
    kernel, recurrent, bias = (np.asarray(w, "float64") for w in weights)
    units = recurrent.shape[0]
    drop = np.ones(units) if drop is None else np.asarray(drop)

    def step(x, h, c):
        z = x @ kernel + (h * drop) @ recurrent + bias
        new_h, new_c = [], []
        for u in range(units):
            keep = sigmoid(z[u])
            new_c.append(keep * c[u] + (1 - keep) * math.tanh(z[units + u]))
            new_h.append(sigmoid(z[2 * units + u]) * math.tanh(new_c[u]))
        return new_h, new_c

    return over_time(step, x, (h, c), units, mask)
