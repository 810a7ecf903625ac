"""Fixed random networks whose echoes fade."""

import numpy as np

from keras_arch.core import check


def connections(units: int, connectivity: float, generator: np.random.Generator) -> np.ndarray:
    """Which units each unit hears: the same number for all, chosen at random.

    count = max(1, round(connectivity N)) in each column.   N: units. With at least one source for each unit the network
    has a cycle, so that its spectral radius is not 0.

    Args:
        units: N, >= 1.
        connectivity: in (0, 1].
        generator: source of chance.
    Returns:
        bool array, shape (N, N), [source, target].

    >>> connections(6, 0.3, np.random.default_rng(0)).sum(axis=0).tolist()
    [2, 2, 2, 2, 2, 2]
    """
    count = max(1, round(connectivity * units))
    ranks = np.argsort(generator.random((units, units)), axis=0)
    return ranks < count


def with_spectral_radius(matrix: np.ndarray, radius: float) -> np.ndarray:
    """Scale a matrix to a spectral radius.

    W radius / max_i |λ_i(W)|, λ_i the eigenvalues, in float64.

    Args:
        matrix: W, shape (N, N).
        radius: >= 0, the largest absolute eigenvalue of the result.
    Raises:
        ValueError: if all eigenvalues are 0, so that no factor gives a radius.

    >>> with_spectral_radius(np.array([[0.0, 4.0], [1.0, 0.0]]), 0.5).round(6).tolist()
    [[0.0, 1.0], [0.25, 0.0]]
    """
    matrix = np.asarray(matrix, "float64")
    found = np.abs(np.linalg.eigvals(matrix)).max()
    # Rounding makes the eigenvalues of a matrix without cycles small, not 0.
    if not found > 1e-6 * np.abs(matrix).max():
        advice = "Raise the connectivity, or initialize by something random such as 'glorot_uniform'."
        raise check.refuse("matrix", "must have an eigenvalue other than 0 to be scaled by it", matrix.tolist(), advice)
    return matrix * (radius / found)
