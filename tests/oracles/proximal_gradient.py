"""Linear regression with a group penalty, by proximal gradient descent in NumPy."""

import numpy as np


def sparse_problem(rng):
    """Inputs (40, 6) and outputs (40, 4) of a linear map with two small columns and a small row, and noise."""
    x = rng.normal(size=(40, 6))
    w = rng.normal(size=(6, 4))
    w[:, [1, 3]] *= 0.02
    w[2] *= 0.02
    return x, x @ w + 0.1 * rng.normal(size=(40, 4))


def shrink(w, lasso, group, groups):
    """Proximal operator of lasso · Σ|w| + Σ_g group · sqrt(p) · ‖w_g‖, by loops; `groups` are lists of index tuples."""
    u = np.array([[np.sign(one) * max(abs(one) - lasso, 0) for one in row] for row in w])
    out = np.zeros_like(u)
    for group_of in groups:
        norm = np.sqrt(sum(u[index] ** 2 for index in group_of))
        left = norm - group * np.sqrt(len(group_of))
        if left > 0:
            for index in group_of:
                out[index] = u[index] * left / norm
    return out


def regression(x, y, *, lasso=0.0, group=0.0, groups=(), steps=600):
    """argmin of mean((x w − y)²) + penalty, over all entries of w, with the step 1 / Lipschitz constant.

    The mean runs over samples and outputs, as keras.losses.MeanSquaredError does.
    """
    w = np.zeros((x.shape[1], y.shape[1]))
    rate = y.size / (2 * np.linalg.norm(x, 2) ** 2)
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ w - y) / y.size
        w = shrink(w - rate * gradient, lasso * rate, group * rate, groups)
    return w
