"""Gated feed-forward networks in NumPy, one row and one unit at a time, float64."""

import math

import numpy as np

GATES = {
    "silu": lambda z: z / (1 + math.exp(-z)),
    "gelu": lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2,
    "relu": lambda z: max(z, 0.0),
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "linear": lambda z: z,
}


def gated_feed_forward_loop(x, gate, value, out, activation, biases=None):
    """(..., D) through gate and value (D, F) and out (F, E); biases in the same order."""
    act = GATES[activation]
    gate_bias, value_bias, out_bias = biases or (
        np.zeros(gate.shape[1]),
        np.zeros(gate.shape[1]),
        np.zeros(out.shape[1]),
    )
    result = np.zeros((*x.shape[:-1], out.shape[1]))
    for index in np.ndindex(*x.shape[:-1]):
        row = x[index].astype("float64")
        hidden = [
            act(float(row @ gate[:, unit]) + gate_bias[unit]) * (float(row @ value[:, unit]) + value_bias[unit])
            for unit in range(gate.shape[1])
        ]
        result[index] = np.array(hidden) @ out.astype("float64") + out_bias
    return result
