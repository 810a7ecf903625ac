"""Class activation maps position by position, in loops over NumPy arrays (N, h, w, C)."""

from collections.abc import Callable

import numpy as np


def _each(features: np.ndarray) -> list:
    return list(np.ndindex(features.shape[:3]))


def hi_res_cam(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Σ_c g A before ReLU."""
    maps = np.zeros(features.shape[:3])
    for where in _each(features):
        maps[where] = sum(a * g for a, g in zip(features[where], gradient[where], strict=True))
    return maps


def layer_cam(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Σ_c ReLU(g) A before ReLU."""
    maps = np.zeros(features.shape[:3])
    for where in _each(features):
        maps[where] = sum(a * max(g, 0.0) for a, g in zip(features[where], gradient[where], strict=True))
    return maps


def grad_cam_plus_plus(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The paper's equation 19 with the second and third derivative written out, before ReLU."""
    samples, height, width, channels = features.shape
    maps = np.zeros((samples, height, width))
    for n in range(samples):
        for c in range(channels):
            total, weight = features[n, :, :, c].sum(), 0.0
            for y in range(height):
                for x in range(width):
                    g = float(gradient[n, y, x, c])
                    below = 2 * g**2 + total * g**3
                    alpha = g**2 / below if below != 0 else 0.0
                    weight += alpha * max(g, 0.0)
            maps[n] += weight * features[n, :, :, c]
    return maps


def score_cam(
    features: np.ndarray, x: np.ndarray, spread: Callable[[np.ndarray], np.ndarray], score: Callable, softmax: bool
) -> np.ndarray:
    """Maps before ReLU, one sample and one channel at a time.

    Args:
        features: (N, h, w, C).
        x: (N, H, W, 3) inputs.
        spread: from a map (h, w) to one (H, W).
        score: from a sample's number and one input (H, W, 3) to its score.
        softmax: whether the weights are the softmax of the scores.
    """
    maps = np.zeros(features.shape[:3])
    for n in range(len(x)):
        weights = np.zeros(features.shape[-1])
        for c in range(features.shape[-1]):
            mask = spread(features[n, :, :, c])
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            weights[c] = score(n, x[n] * mask[:, :, None])
        if softmax:
            weights = np.exp(weights) / np.exp(weights).sum()
        for c in range(features.shape[-1]):
            maps[n] += weights[c] * features[n, :, :, c]
    return maps
