"""A recurrent layer by loops over samples and time, around the step of one sample."""

import math

import numpy as np


def sigmoid(v):
    return 1.0 / (1.0 + math.exp(-v))


def normalized(row, gamma, beta, epsilon):
    mean = sum(row) / len(row)
    variance = sum((v - mean) ** 2 for v in row) / len(row)
    return [(v - mean) / math.sqrt(variance + epsilon) * g + b for v, g, b in zip(row, gamma, beta, strict=True)]


def over_time(step, x, states, units, mask=None):
    """All outputs (B, T, N) and the last states, in float64.

    step: x (D,) and states (N,) of one sample -> new states, of which the first is the output. states: one (B, N) or
    None, for zeros, each. A step whose mask is false repeats the output and keeps the states.
    """
    batch, length, _ = x.shape
    states = [np.zeros((batch, units)) if s is None else np.array(s, "float64") for s in states]
    outputs = np.zeros((batch, length, units))
    for n in range(batch):
        for t in range(length):
            if mask is None or mask[n, t]:
                after = step(x[n, t].astype("float64"), *(state[n].copy() for state in states))
                for state, new in zip(states, after, strict=True):
                    state[n] = new
            outputs[n, t] = states[0][n]
    return outputs, *states
