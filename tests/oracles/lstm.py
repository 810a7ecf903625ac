"""Long short-term memory by loops over time, samples and units, with and without layer normalization."""

import math

import numpy as np


def sigmoid(v):
    return 1.0 / (1.0 + math.exp(-v))


def normalized(row, gamma, beta, epsilon):
    mean = sum(row) / len(row)
    variance = sum((v - mean) ** 2 for v in row) / len(row)
    return [(v - mean) / math.sqrt(variance + epsilon) * g + b for v, g, b in zip(row, gamma, beta, strict=True)]


def layer_norm_lstm(x, weights, epsilon, h=None, c=None, mask=None, drop=None):
    """All outputs (B, T, N) and the last h and c, in float64.

    weights: W (D, 4N), U (N, 4N), b (4N,), then gain and shift of the inputs' (4N,), the state's (4N,) and the carry's
    (N,) norm. A step whose mask is false repeats the output and keeps the state. drop: factors of h (N,) before U.
    """
    kernel, recurrent, bias, g1, b1, g2, b2, g3, b3 = (np.asarray(w, "float64") for w in weights)
    batch, length, _ = x.shape
    units = recurrent.shape[0]
    h = np.zeros((batch, units)) if h is None else np.array(h, "float64")
    c = np.zeros((batch, units)) if c is None else np.array(c, "float64")
    drop = np.ones(units) if drop is None else np.asarray(drop)
    outputs = np.zeros((batch, length, units))
    for n in range(batch):
        for t in range(length):
            if mask is None or mask[n, t]:
                from_inputs = normalized(list(x[n, t].astype("float64") @ kernel), g1, b1, epsilon)
                from_state = normalized(list((h[n] * drop) @ recurrent), g2, b2, epsilon)
                z = [p + q + s for p, q, s in zip(from_inputs, from_state, bias, strict=True)]
                carry = []
                for u in range(units):
                    enter, keep, candidate = sigmoid(z[u]), sigmoid(z[units + u]), math.tanh(z[2 * units + u])
                    carry.append(keep * c[n, u] + enter * candidate)
                c[n] = normalized(carry, g3, b3, epsilon)
                h[n] = [sigmoid(z[3 * units + u]) * math.tanh(c[n, u]) for u in range(units)]
            outputs[n, t] = h[n]
    return outputs, h, c
