"""Linear models that stand in for another model near one sample, fitted on the host in float64."""

import numpy as np

DISTANCES = ("cosine", "euclidean")


def weighted_ridge(
    design: np.ndarray, outcomes: np.ndarray, weights: np.ndarray, penalty: float
) -> tuple[np.ndarray, float]:
    """Coefficients c and intercept b that minimise Σ_s w_s (y_s - b - z_s · c)² + penalty · |c|².

    The intercept is not penalised. Without a penalty, columns that cannot be told apart share equally.

    Args:
        design: Z, (S, M).   S: samples.   M: features.
        outcomes: y, (S,).
        weights: w, (S,), >= 0, not all zero.
        penalty: >= 0.
    Returns:
        float64 array (M,) and a float.
    Source: Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634.

    >>> coefficients, intercept = weighted_ridge([[0.0], [1.0]], [1.0, 3.0], [1.0, 1.0], 0.0)
    >>> coefficients.round(6).tolist(), round(intercept, 6)
    ([2.0], 1.0)
    """
    design, outcomes, weights = (np.asarray(part, "float64") for part in (design, outcomes, weights))
    share = weights / weights.sum()
    middle, level = share @ design, share @ outcomes
    root = np.sqrt(weights)
    left = np.concatenate([root[:, None] * (design - middle), np.sqrt(penalty) * np.eye(design.shape[1])])
    right = np.concatenate([root * (outcomes - level), np.zeros(design.shape[1])])
    coefficients = np.linalg.lstsq(left, right)[0]
    return coefficients, float(level - middle @ coefficients)


def weighted_r2(
    design: np.ndarray, outcomes: np.ndarray, weights: np.ndarray, coefficients: np.ndarray, intercept: float
) -> float:
    """Share of the weighted variance of the outcomes that a linear model explains, 1 at best.

    R² = 1 - Σ w (y - b - z · c)² / Σ w (y - mean)²; for outcomes that never vary 1 if they are met, else 0.

    Args:
        design: (S, M).
        outcomes: (S,).
        weights: (S,).
        coefficients: (M,).
        intercept: b.

    >>> weighted_r2([[0.0], [1.0]], [1.0, 3.0], [1.0, 1.0], [2.0], 1.0)
    1.0
    """
    design, outcomes, weights = (np.asarray(part, "float64") for part in (design, outcomes, weights))
    missed = weights @ (outcomes - intercept - design @ np.asarray(coefficients)) ** 2
    spread = weights @ (outcomes - weights @ outcomes / weights.sum()) ** 2
    # Outcomes are float32 scores: what varies less than their last digit does not vary.
    if spread <= weights.sum() * (1e-7 * np.abs(outcomes).max(initial=0)) ** 2:
        return float(missed <= weights.sum() * (1e-6 * np.abs(outcomes).max(initial=0)) ** 2)
    return float(1 - missed / spread)


def proximity(coalitions: np.ndarray, distance: str, width: float) -> np.ndarray:
    """How much a coalition counts in a local fit, by its distance from the one that holds every feature.

    w = exp(-d² / (2 width²)),  d = 1 - √(s / M) for "cosine", √(M - s) for "euclidean".   s: its size.

    Args:
        coalitions: bool (S, M).
        distance: "cosine" or "euclidean".
        width: > 0.
    Returns:
        float64 array (S,).
    Source: Ribeiro, Singh and Guestrin 2016, arXiv:1602.04938; the root of its kernel exp(-d² / width²), as in the
    authors' package lime.

    >>> proximity([[True, True]], "cosine", 0.25).tolist()
    [1.0]
    """
    sizes, players = np.sum(coalitions, axis=1), np.shape(coalitions)[1]
    away = 1 - np.sqrt(sizes / players) if distance == "cosine" else np.sqrt(players - sizes)
    return np.exp(-(away**2) / (2 * width**2))


def shapley_regression(
    coalitions: np.ndarray, values: np.ndarray, weights: np.ndarray, empty: np.ndarray, full: np.ndarray
) -> np.ndarray:
    """Shares φ that minimise Σ_s w_s (v_s - v(none) - z_s · φ)² among those that add up to v(all) - v(none).

    φ = (v(all) - v(none)) / M + u,  where u has zero sum and is the smallest solution of the fit that is left. With
    every coalition and the Shapley kernel as weights, φ are the Shapley values.

    Args:
        coalitions: bool (S, M), without the empty and the whole one.   S: coalitions.   M: features.
        values: v, (N, S).   N: games.
        weights: (S,).
        empty: v(none), (N,).
        full: v(all), (N,).
    Returns:
        float64 array (N, M).
    Source: Lundberg and Lee 2017, arXiv:1705.07874; with the sum as a constraint: Covert and Lee 2021,
    arXiv:2012.01536.

    >>> shapley_regression([[True, False], [False, True]], [[1.0, 2.0]], [1.0, 1.0], [0.0], [5.0]).round(6).tolist()
    [[2.0, 3.0]]
    """
    rows = np.asarray(coalitions, "float64")
    values, empty, full = (np.asarray(part, "float64") for part in (values, empty, full))
    equal = ((full - empty) / rows.shape[1])[:, None]  # (N, 1)
    if len(rows) == 0:
        return np.broadcast_to(equal, (len(equal), rows.shape[1])).copy()
    sizes = rows.sum(1)
    root = np.sqrt(np.asarray(weights, "float64"))
    left = root[:, None] * (rows - sizes[:, None] / rows.shape[1])  # rows of zero sum, so the smallest u has it too
    right = root[:, None] * (values - empty[:, None] - equal * sizes).T  # (S, N)
    return equal + np.linalg.lstsq(left, right)[0].T
