"""Linear recurrences by a loop over time, in float64 or complex128."""

import numpy as np


def linear_recurrence(a, b, state=None):
    """All h of h[t] = a[t] h[t-1] + b[t]; a of b's shape, or of one state."""
    a, b = np.asarray(a), np.asarray(b)
    a = np.broadcast_to(a, b.shape)
    h = np.zeros(b[:, 0].shape, np.result_type(a, b, "float64")) if state is None else np.array(state)
    steps = []
    for t in range(b.shape[1]):
        h = a[:, t] * h + b[:, t]
        steps.append(h)
    return np.stack(steps, axis=1)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, "float64")))


def gated_recurrence(logits, candidates, state=None):
    """All h of h[t] = (1 − z[t]) h[t-1] + z[t] c[t] with z = σ(logits)."""
    gates = sigmoid(logits)
    return linear_recurrence(1 - gates, gates * candidates, state)


def held(x, mask):
    """x with each masked step replaced by the last one that counts before it, or zeros."""
    result = np.zeros_like(x)
    for n in range(x.shape[0]):
        last = np.zeros_like(x[n, 0])
        for t in range(x.shape[1]):
            last = x[n, t] if mask[n, t] else last
            result[n, t] = last
    return result
