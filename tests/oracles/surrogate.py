"""Weighted ridge regression from its normal equations, and its fidelity, a row at a time."""

import numpy as np


def ridge(design: np.ndarray, outcomes: np.ndarray, weights: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """(XᵀWX + P) c = XᵀWy with a column of ones for the intercept, which P does not touch."""
    features = design.shape[1]
    left, right = np.zeros((features + 1, features + 1)), np.zeros(features + 1)
    for row, outcome, weight in zip(design, outcomes, weights, strict=True):
        extended = np.append(np.asarray(row, "float64"), 1.0)
        left += weight * np.outer(extended, extended)
        right += weight * outcome * extended
    left[range(features), range(features)] += penalty
    solution = np.linalg.solve(left, right)
    return solution[:-1], solution[-1]


def fidelity(predicted: np.ndarray, outcomes: np.ndarray, weights: np.ndarray) -> float:
    """1 - Σ w (y - p)² / Σ w (y - ȳ)²."""
    mean = sum(w * y for w, y in zip(weights, outcomes, strict=True)) / sum(weights)
    missed = sum(w * (y - p) ** 2 for w, y, p in zip(weights, outcomes, predicted, strict=True))
    spread = sum(w * (y - mean) ** 2 for w, y in zip(weights, outcomes, strict=True))
    return 1 - missed / spread
