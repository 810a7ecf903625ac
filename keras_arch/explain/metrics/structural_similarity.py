"""The structural similarity index (SSIM) of two maps."""

import numpy as np

_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


def structural_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean over all windows of how alike two maps are in level, spread and shape, map by map.

    ssim = (2 μa μb + C1) (2 σab + C2) / ((μa² + μb² + C1) (σa² + σb² + C2)),   C1 = 0.01², C2 = 0.03²
    μ, σ: weighted by a Gaussian of 11 × 11 positions and deviation 1.5, as large as fits into a smaller map.

    Each map is first brought to the range from 0 to 1; a constant one becomes zeros.

    Args:
        a: (N, H, W).
        b: (N, H, W).
    Returns:
        float64 array (N,), from -1 to 1; 1 for equal maps.
    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861.

    >>> structural_similarity(np.eye(4)[None], np.eye(4)[None]).tolist()
    [1.0]
    """
    a, b = _scaled(a), _scaled(b)
    mean_a, mean_b = _windows(a), _windows(b)
    spread_a, spread_b = _windows(a * a) - mean_a**2, _windows(b * b) - mean_b**2
    shared = _windows(a * b) - mean_a * mean_b
    c1, c2 = _K1**2, _K2**2
    level = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    shape = (2 * shared + c2) / (spread_a + spread_b + c2)
    return np.clip((level * shape).mean(axis=(1, 2)), -1, 1)


def _scaled(maps: np.ndarray) -> np.ndarray:
    maps = maps.astype("float64")
    low = maps.min(axis=(1, 2), keepdims=True)
    span = maps.max(axis=(1, 2), keepdims=True) - low
    return (maps - low) / np.where(span > 0, span, 1)


def _windows(maps: np.ndarray) -> np.ndarray:
    """Weighted means of all windows that lie within the maps."""
    for axis in (1, 2):
        size = min(_WINDOW, maps.shape[axis])
        weights = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / _SIGMA) ** 2)
        weights /= weights.sum()
        count = maps.shape[axis] - size + 1
        maps = sum(
            weight * np.take(maps, np.arange(shift, shift + count), axis=axis) for shift, weight in enumerate(weights)
        )
    return maps
