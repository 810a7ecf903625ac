"""The formulas of transformer blocks in NumPy, one line a step; `f` maps a branch's name to what it computes."""

import math

import numpy as np


def activation(name, x):
    """relu, silu or exact gelu."""
    if name == "relu":
        return np.maximum(x, 0)
    if name == "silu":
        return x / (1 + np.exp(-x))
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def normalize(x, scale, offset=None, epsilon=1e-5):
    """Layer normalization; without an offset RMS normalization."""
    x = x - (0 if offset is None else x.mean(-1, keepdims=True))
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * scale
    return x if offset is None else x + offset


def two_branches(x, attend, feed, norms, placement, alpha=1.0):
    """An encoder block, or a decoder block without memory. `norms`: callables in the order of the block's weights."""
    if placement == "parallel":
        y = norms[0](x)
        return x + attend(y) + feed(y)
    if placement == "parallel sandwich":
        y = norms[0](x)
        return x + norms[1](attend(y)) + norms[2](feed(y))
    if placement == "sandwich":
        x = x + norms[1](attend(norms[0](x)))
        return x + norms[3](feed(norms[2](x)))
    if placement == "pre":
        x = x + attend(norms[0](x))
        return x + feed(norms[1](x))
    x = norms[0](alpha * x + attend(x))
    return norms[1](alpha * x + feed(x))


def three_branches(x, attend, look, feed, norms, placement, alpha=1.0):
    """A decoder block with a memory, at which `look` looks."""
    if placement == "parallel":
        y = norms[0](x)
        return x + attend(y) + look(y) + feed(y)
    if placement == "sandwich":
        x = x + norms[1](attend(norms[0](x)))
        x = x + norms[3](look(norms[2](x)))
        return x + norms[5](feed(norms[4](x)))
    if placement == "pre":
        x = x + attend(norms[0](x))
        x = x + look(norms[1](x))
        return x + feed(norms[2](x))
    x = norms[0](alpha * x + attend(x))
    x = norms[1](alpha * x + look(x))
    return norms[2](alpha * x + feed(x))
