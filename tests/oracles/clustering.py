"""Clusters of single numbers by loops and by dynamic programming, apart from the package."""

import numpy as np


def error(values, centroids):
    """Σ min_k (x − c_k)², every distance looked at."""
    distances = np.subtract.outer(np.ravel(values).astype("float64"), np.ravel(centroids))
    return float((distances**2).min(axis=1).sum())


def least_error(values, clusters):
    """The smallest Σ min_k (x − c_k)² of all, by dynamic programming: optimal clusters of numbers are stretches."""
    x = np.sort(np.ravel(values).astype("float64"))
    n = len(x)
    cost = np.zeros((n, n + 1))
    for begin in range(n):
        for end in range(begin + 1, n + 1):
            cost[begin, end] = ((x[begin:end] - x[begin:end].mean()) ** 2).sum()
    best = np.full(n + 1, np.inf)
    best[0] = 0.0
    for _ in range(clusters):
        ends = range(1, n + 1)
        best = np.array([0.0] + [min(best[begin] + cost[begin, end] for begin in range(end)) for end in ends])
    return float(best[n])


def lloyd(values, centroids, rounds=1000):
    """Lloyd's algorithm with every distance looked at; no cluster may run empty."""
    x, c = np.ravel(values).astype("float64"), np.sort(np.asarray(centroids, "float64"))
    for _ in range(rounds):
        index = np.abs(np.subtract.outer(x, c)).argmin(axis=1)
        means = np.array([x[index == k].mean() for k in range(len(c))])
        if np.array_equal(means, c):
            break
        c = means
    return c


def joined(x, index, mean=False):
    """Sum or mean over each cluster, for each of its members, by a loop."""
    x, index = np.asarray(x, "float64"), np.asarray(index)
    result = np.zeros_like(x)
    for k in np.unique(index):
        members = x[index == k]
        result[index == k] = members.mean() if mean else members.sum()
    return result


def distinct(array):
    return len(set(np.ravel(np.asarray(array).astype("float64")).tolist()))
