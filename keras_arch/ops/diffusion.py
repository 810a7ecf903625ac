"""Blur as diffusion of heat along one axis: the discrete Gaussian, which can be differentiated by its width."""

import numpy as np

from keras_arch.core import check


def diffusion(length: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Matrix that blurs a line of cells, and its derivative by the width of the blur.

    G(σ) = exp(σ²/2 · L),   dG/dσ = σ · L · G(σ)
    L: second differences, with closed ends: what leaves a cell enters its neighbours.

    G(0) is the identity, G(σ) G(τ) = G(√(σ² + τ²)), rows and columns sum to 1, and wide blurs give the mean.

    Args:
        length: n, number of cells.
        sigma: σ >= 0, standard deviation of the blur in cells.
    Returns:
        Two float64 arrays (n, n).
    Source: Lindeberg 1990, doi:10.1109/34.49051. A sampled Gaussian has neither the product rule nor, cut off, the
    derivative.

    >>> diffusion(2, 10.0)[0].round(3).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    check.integer("length", length)
    check.strength("sigma", sigma)
    frequency = np.arange(length)
    cosines = np.cos(np.pi * (np.arange(length)[:, None] + 0.5) * frequency / length)  # (n, n), eigenvectors of L
    cosines /= np.linalg.norm(cosines, axis=0)
    rates = 2 - 2 * np.cos(np.pi * frequency / length)  # minus the eigenvalues of L
    decay = np.exp(-rates * sigma**2 / 2)
    return (cosines * decay) @ cosines.T, (cosines * (-rates * sigma * decay)) @ cosines.T
