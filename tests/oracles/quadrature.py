"""Path integrals by sums written out one node at a time."""

import itertools
import math

import numpy as np


def moment(nodes: np.ndarray, weights: np.ndarray, degree: int) -> float:
    """∫ t^degree dt over [0, 1] as a rule computes it, summed without rounding."""
    return math.fsum(float(weight) * float(node) ** degree for node, weight in zip(nodes, weights, strict=True))


def riemann(function, steps: int, offset: float) -> float:
    """Sum over `steps` cells of equal width, the function read at `offset` of each cell."""
    return math.fsum(function((cell + offset) / steps) / steps for cell in range(steps))


def trapezoids(function, points: int) -> float:
    """Areas of the trapezoids between `points` equally spaced values."""
    grid = [k / (points - 1) for k in range(points)]
    return math.fsum(
        (right - left) * (function(left) + function(right)) / 2 for left, right in itertools.pairwise(grid)
    )
