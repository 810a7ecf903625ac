"""Occlusion, random masks and blending by loops over windows, masks and positions."""

import itertools
import math
from collections.abc import Callable

import numpy as np


def occlusion(
    score: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    window: tuple[int, ...],
    stride: tuple[int, ...],
    baseline: float = 0.0,
) -> np.ndarray:
    """Mean of F(x) - F(x occluded) over the windows that cover a position; windows over all axes after the batch."""
    whole = score(x)
    total, covered = np.zeros(x.shape), np.zeros(x.shape)
    starts = []
    for size, width, step in zip(x.shape[1:], window, stride, strict=True):
        starts.append([step * k for k in range(math.ceil((size - width) / step) + 1)])
    for corner in itertools.product(*starts):
        place = (slice(None), *(slice(low, low + width) for low, width in zip(corner, window, strict=True)))
        changed = x.copy()
        changed[place] = baseline
        drop = whole - score(changed)
        total[place] += drop.reshape(-1, *[1] * (x.ndim - 1))
        covered[place] += 1
    return total / covered


def grown_mask(cells: np.ndarray, shift: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """A grid of g cells an axis, drawn out linearly to (g + 1) cells of ceil(size / g) positions, cut at `shift`."""
    grid = cells.shape
    mask = np.zeros(size)
    for place in itertools.product(*map(range, size)):
        near = []
        for axis, index in enumerate(place):
            grown = (grid[axis] + 1) * math.ceil(size[axis] / grid[axis])
            at = (index + shift[axis] + 0.5) * grid[axis] / grown - 0.5
            at = min(max(at, 0.0), grid[axis] - 1.0)
            low = min(int(at), grid[axis] - 1)
            high = min(low + 1, grid[axis] - 1)
            near.append([(low, 1 - (at - low)), (high, at - low)])
        for corner in itertools.product(*near):
            weight = math.prod(part for _, part in corner)
            mask[place] += weight * cells[tuple(cell for cell, _ in corner)]
    return mask


def blend(x: np.ndarray, labels: np.ndarray, kept: set[int], baseline: np.ndarray) -> np.ndarray:
    """One sample whose positions keep their value where their feature is kept."""
    out = np.array(x)
    labels = np.broadcast_to(labels, x.shape)
    for place in np.ndindex(*x.shape):
        if int(labels[place]) not in kept:
            out[place] = np.broadcast_to(baseline, x.shape)[place]
    return out
