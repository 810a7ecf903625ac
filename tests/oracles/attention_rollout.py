"""Attention of one head, and the two rollouts of attention, with loops over samples, heads, queries and keys."""

import numpy as np


def attend(query: np.ndarray, key: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """softmax(query key^T / sqrt(H)) over what the mask shows, (N, T, S); rows that see nothing are zeros.

    Args:
        query: (N, T, H), one head.
        key: (N, S, H).
        mask: None, or bool (N, T, S).
    """
    samples, length, size = query.shape
    weights = np.zeros((samples, length, key.shape[1]))
    for n in range(samples):
        for t in range(length):
            seen = [s for s in range(key.shape[1]) if mask is None or mask[n, t, s]]
            scores = [float(query[n, t] @ key[n, s]) / np.sqrt(size) for s in seen]
            total = sum(np.exp(score - max(scores)) for score in scores)
            for s, score in zip(seen, scores, strict=True):
                weights[n, t, s] = np.exp(score - max(scores)) / total
    return weights


def rollout(layers: list[np.ndarray], heads: str = "mean", residual: float = 0.5, discard: float = 0.0) -> np.ndarray:
    """R = A'_L ... A'_1 of one sample, (T, T), each A' = residual I + (1 - residual) A with rows that sum to 1.

    Args:
        layers: (heads, T, T) each, first layer first.
        heads: "mean", "min" or "max".
        residual: share of the identity.
        discard: share of the smallest weights of a layer that count as 0.
    """
    length = layers[0].shape[-1]
    total = np.eye(length)
    for weights in layers:
        matrix = np.zeros((length, length))
        for t in range(length):
            for s in range(length):
                matrix[t, s] = {"mean": np.mean, "min": np.min, "max": np.max}[heads](weights[:, t, s])
        order = sorted((matrix[t, s], t, s) for t in range(length) for s in range(length))
        for _, t, s in order[: int(discard * length * length)]:
            matrix[t, s] = 0.0
        for t in range(length):
            matrix[t] = (1 - residual) * matrix[t]
            matrix[t, t] += residual
            matrix[t] /= matrix[t].sum()
        total = matrix @ total
    return total


def gradient_rollout(layers: list[np.ndarray], gradients: list[np.ndarray]) -> np.ndarray:
    """R after R = I, R <- R + mean over heads of max(A dF/dA, 0) R for each layer, of one sample, (T, T)."""
    total = np.eye(layers[0].shape[-1])
    for weights, gradient in zip(layers, gradients, strict=True):
        matrix = np.zeros(weights.shape[1:])
        for head in range(len(weights)):
            for t in range(matrix.shape[0]):
                for s in range(matrix.shape[1]):
                    matrix[t, s] += max(weights[head, t, s] * gradient[head, t, s], 0.0) / len(weights)
        total = total + matrix @ total
    return total
