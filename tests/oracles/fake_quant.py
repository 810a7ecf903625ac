"""Fake quantization value by value, in float64 Python loops."""

import math

import numpy as np


def nudged(low, high, bits, narrow):
    lowest, highest = (1 if narrow else 0), 2**bits - 1
    step = (float(high) - float(low)) / (highest - lowest)
    zero = min(max(math.floor(lowest - float(low) / step + 0.5), lowest), highest)
    return (lowest - zero) * step, (highest - zero) * step, step


def fake_quant_loop(x, low, high, bits, narrow):
    """One range for the whole array."""
    first, last, step = nudged(low, high, bits, narrow)
    y = np.empty(x.shape)
    for index, value in np.ndenumerate(x):
        clipped = min(max(float(value), first), last)
        y[index] = math.floor((clipped - first) / step + 0.5) * step + first
    return y


def fake_quant_channels_loop(x, low, high, bits, narrow, channel_axes):
    """One range for each index of the last `channel_axes` axes."""
    y = np.empty(x.shape)
    for channel in np.ndindex(*x.shape[-channel_axes:]):
        where = (..., *channel)
        y[where] = fake_quant_loop(x[where], low[channel], high[channel], bits, narrow)
    return y


def lsq_loop(x, step, lowest, highest):
    """Rounded values and their derivative by the step (Esser et al. 2020, equations 1 to 3), value by value."""
    y, by_step = np.empty(x.shape), np.empty(x.shape)
    for index, value in np.ndenumerate(x):
        ratio = float(value) / step
        if ratio <= lowest:
            y[index], by_step[index] = lowest * step, lowest
        elif ratio >= highest:
            y[index], by_step[index] = highest * step, highest
        else:
            nearest = math.floor(ratio + 0.5)
            y[index], by_step[index] = nearest * step, nearest - ratio
    return y, by_step
