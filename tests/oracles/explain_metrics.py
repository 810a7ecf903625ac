"""Measures of explanations by loops, one sample, one step and one pair of numbers at a time, in float64."""

import math
from collections.abc import Callable

import numpy as np


def removal_curve(
    score: Callable[[np.ndarray], float],
    x: np.ndarray,
    worth: np.ndarray,
    start: np.ndarray,
    counts: list[int],
    insert: bool,
) -> list[float]:
    """Scores of one sample while its best positions are replaced by `start`, or put into it.

    Args:
        score: of one sample.
        x: positions in front, with or without channels behind.
        worth: of each position.
        start: like x.
        counts: positions that are replaced at each step.
        insert: whether x is put into start.
    """
    order = sorted(np.ndindex(worth.shape), key=lambda place: (-worth[place], place))
    curve = []
    for count in counts:
        changed = np.array(start if insert else x, copy=True)
        for place in order[:count]:
            changed[place] = x[place] if insert else start[place]
        curve.append(float(score(changed)))
    return curve


def area(curve: list[float], fractions: list[float]) -> float:
    """By trapezoids."""
    parts = zip(curve[1:], curve[:-1], fractions[1:], fractions[:-1], strict=True)
    return sum((high + low) / 2 * (to - since) for high, low, to, since in parts)


def gini(numbers: np.ndarray) -> float:
    """Mean absolute difference of all pairs, over twice the mean."""
    size = np.abs(np.ravel(numbers)).astype("float64")
    pairs = sum(abs(one - other) for one in size for other in size)
    return pairs / (2 * len(size) * size.sum()) if size.sum() else 0.0


def entropy(numbers: np.ndarray) -> float:
    """Of the absolute numbers as shares."""
    size = np.abs(np.ravel(numbers)).astype("float64")
    if not size.sum():
        return math.log(len(size))
    return -sum(share * math.log(share) for share in size / size.sum() if share)


def infidelity(
    score: Callable[[np.ndarray], float],
    x: np.ndarray,
    slopes: np.ndarray,
    disturbances: list[np.ndarray],
    scaled: bool,
) -> float:
    """Mean squared miss over the disturbances of one sample."""
    forecast = [float((one * slopes).sum()) for one in disturbances]
    change = [float(score(x) - score(x - one)) for one in disturbances]
    beta = 1.0
    if scaled:
        beta = sum(a * b for a, b in zip(forecast, change, strict=True)) / sum(a * a for a in forecast)
    return sum((beta * a - b) ** 2 for a, b in zip(forecast, change, strict=True)) / len(change)


def hit(worth: np.ndarray, region: np.ndarray, tolerance: float) -> bool:
    """Whether a true position of the region is near the first largest one."""
    best = max(np.ndindex(worth.shape), key=lambda place: (worth[place], [-index for index in place]))
    return any(math.dist(best, place) <= tolerance for place in np.ndindex(region.shape) if region[place])


def blurred(x: np.ndarray, size: int, sigma: float) -> np.ndarray:
    """One picture (H, W, C), the nearest pixel of the edge beyond it."""
    reach = size // 2
    height, width, _ = x.shape
    out = np.zeros(x.shape)
    for row in range(height):
        for column in range(width):
            total = 0.0
            for down in range(-reach, reach + 1):
                for right in range(-reach, reach + 1):
                    weight = math.exp(-(down**2 + right**2) / (2 * sigma**2))
                    near = x[min(max(row + down, 0), height - 1), min(max(column + right, 0), width - 1)]
                    out[row, column] += weight * near
                    total += weight
            out[row, column] /= total
    return out
