"""Spearman's rank correlation."""

import numpy as np


def rank_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of the ranks of two lists of numbers, row by row.

    Equal numbers share the mean of their ranks. Where all numbers of a row are equal there are no ranks: 1 if that is
    so in both, for nothing has changed, 0 if it is so in one.

    Args:
        a: (N, D).
        b: (N, D).
    Returns:
        float64 array (N,), from -1 to 1.

    >>> rank_correlation(np.array([[1.0, 2.0, 3.0]]), np.array([[10.0, 30.0, 20.0]])).round(3).tolist()
    [0.5]
    """
    one, other = (_centred(np.stack([_ranks(row) for row in part])) for part in (a, b))
    lengths = np.sqrt((one**2).sum(axis=1)), np.sqrt((other**2).sum(axis=1))
    product = lengths[0] * lengths[1]
    correlation = (one * other).sum(axis=1) / np.where(product > 0, product, 1)
    both_flat = (lengths[0] == 0) & (lengths[1] == 0)
    return np.where(both_flat, 1.0, np.clip(correlation, -1, 1))


def _ranks(row: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(row, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place.reshape(-1)]


def _centred(ranks: np.ndarray) -> np.ndarray:
    return ranks - ranks.mean(axis=1, keepdims=True)
