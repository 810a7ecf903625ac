"""Pruning by hand: sort everything, count in loops."""

import numpy as np


def smallest(scores, count):
    """Indices sorted by (score, position); the first `count` are marked."""
    flat = list(scores.reshape(-1))
    marked = np.zeros(len(flat), bool)
    for index in sorted(range(len(flat)), key=lambda i: (flat[i], i))[:count]:
        marked[index] = True
    return marked.reshape(scores.shape)


def polynomial(step, initial, final, begin, end, power, every):
    """Walk through all steps up to `step` and remember the value at the last choice of masks; None before the first."""
    held = None
    for t in range(step + 1):
        if t == end or (begin <= t < end and (t - begin) % every == 0):
            progress = (t - begin) / (end - begin) if end > begin else 1.0
            held = final + (initial - final) * (1 - progress) ** power
    return held


def zeros(weights):
    """Zeros of one array, one by one."""
    return sum(1 for number in np.asarray(weights).reshape(-1) if number == 0)


def whole_channels(weights):
    """Which indices along the last axis hold nothing but zeros; an index with some zeros among others is an error."""
    dead = []
    for channel in range(weights.shape[-1]):
        numbers = list(weights[..., channel].reshape(-1))
        count = sum(1 for number in numbers if number == 0)
        assert count in (0, len(numbers)), f"channel {channel} has {count} zeros of {len(numbers)}"
        if count:
            dead.append(channel)
    return dead
