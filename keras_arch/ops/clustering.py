"""k-means of single numbers, on the host: sorted once, a round of Lloyd costs k binary searches, not n distances."""

import concurrent.futures
import math
import os
from typing import Any

import numpy as np

CHUNK = 1 << 20  # numbers that `nearest` looks up at a time


class SortedValues:
    """Numbers in order, with running sums, so that the mean and the squared error of any stretch are two subtractions.

    Args:
        values: numbers of any shape, no NaN; float32 and float64 are kept, others become float32.

    >>> from keras_arch.ops.clustering import SortedValues
    >>> SortedValues(np.array([3.0, 1.0, 2.0])).errors(np.array([0, 2, 3]), np.array([1.5, 3.0])).tolist()
    [0.5, 0.0]
    """

    def __init__(self, values: Any) -> None:
        values = np.asarray(values).reshape(-1)
        values = values if values.dtype in ("float32", "float64") else values.astype("float32")
        # The look costs a hundredth of sorting again what is in order.
        self.values = values if (values[1:] >= values[:-1]).all() else np.sort(values)
        wide = self.values.astype("float64")
        self._sums = _running(wide)
        self._squares = _running(np.square(wide, out=wide))

    def __len__(self) -> int:
        return len(self.values)

    def distinct(self) -> int:
        """How many different numbers there are."""
        return int(np.count_nonzero(self.values[1:] != self.values[:-1])) + (len(self.values) > 0)

    def edges(self, centroids: np.ndarray) -> np.ndarray:
        """Where the numbers nearest to each of k ascending centroids begin, and n: int array, shape (k + 1,)."""
        inner = np.searchsorted(self.values, boundaries(centroids, self.values.dtype), side="right")
        return np.concatenate([[0], inner, [len(self.values)]])

    def means(self, edges: np.ndarray) -> np.ndarray:
        """Mean of the numbers between neighbouring edges; NaN where there are none."""
        counts = np.diff(edges)
        return np.divide(np.diff(self._sums[edges]), counts, out=np.full(len(counts), np.nan), where=counts > 0)

    def errors(self, edges: np.ndarray, centroids: np.ndarray) -> np.ndarray:
        """Σ (x − c)² of the numbers between neighbouring edges, c: the centroid of each stretch."""
        sums, squares = np.diff(self._sums[edges]), np.diff(self._squares[edges])
        # Rounding leaves a little below 0 where all numbers are the centroid.
        return np.maximum(squares - 2 * centroids * sums + np.square(centroids) * np.diff(edges), 0)

    def place_of_error(self, begin: int, end: int, centroid: float, error: float) -> int:
        """The place in [begin, end) at which the squared error to the centroid, summed from `begin`, passes `error`."""
        low, high = begin, end - 1
        while low < high:
            middle = (low + high) // 2
            if self.errors(np.array([begin, middle + 1]), np.array([centroid]))[0] > error:
                high = middle
            else:
                low = middle + 1
        return low


def kmeans_1d(values: SortedValues, start: Any, clusters: int, rounds: int = 1000) -> np.ndarray:
    """Centroids that are the means of the numbers nearest to them: Lloyd's algorithm, exact in every round.

    c_k ← mean of the x with |x − c_k| = min_j |x − c_j|, until no x changes its centroid: a local minimum of
    Σ min_k (x − c_k)². A centroid that nothing is nearest to takes half of the cluster with the largest error.

    Args:
        values: the numbers.
        start: finite centroids to begin with, at most `clusters` different ones.
        clusters: k, >= 1.
        rounds: at most so many, >= 1.
    Returns:
        float64 array of k ascending centroids; the different numbers themselves if there are no more than k.
    Source: Lloyd 1982, doi:10.1109/TIT.1982.1056489.

    >>> from keras_arch.ops.clustering import SortedValues, kmeans_1d
    >>> kmeans_1d(SortedValues([0.0, 1.0, 10.0, 12.0]), [0.0, 1.0], 2).tolist()
    [0.5, 11.0]
    """
    if values.distinct() <= clusters:
        return np.unique(values.values).astype("float64")
    centroids, known = np.unique(np.asarray(start, "float64")), None
    for _ in range(rounds):
        edges = values.edges(centroids)
        centroids = values.means(edges)
        centroids = centroids[~np.isnan(centroids)]
        while len(centroids) < clusters:
            divided = _divide_worst(values, centroids)
            if len(divided) == len(centroids):  # as many as the type of the numbers tells apart
                break
            centroids = divided
        if known is not None and np.array_equal(edges, known):
            break
        known = edges
    return centroids


def plus_plus(values: SortedValues, clusters: int, generator: np.random.Generator) -> np.ndarray:
    """Numbers to begin k-means with, each drawn with a probability in proportion to its squared error so far.

    p(x) = D(x)² / Σ D², D: distance to the nearest centroid drawn before. The best of 2 + ln k draws is taken each
    time. The draw is exact, by binary search in running sums: O(k² + k log k log n) for k of n numbers.

    Args:
        values: the numbers.
        clusters: k, >= 1.
        generator: source of the draws.
    Returns:
        float64 array of k ascending numbers, fewer if there are no k different ones.
    Source: Arthur & Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding", SODA; with the several draws
    a step that its section 5 suggests.

    >>> from keras_arch.ops.clustering import SortedValues, plus_plus
    >>> plus_plus(SortedValues([0.0, 0.0, 5.0, 5.0]), 2, np.random.default_rng(0)).tolist()
    [0.0, 5.0]
    """
    draws = 2 + int(math.log(clusters))
    centroids = np.array([values.values[generator.integers(len(values))]], "float64")
    while len(centroids) < clusters:
        edges = values.edges(centroids)
        error = np.cumsum(values.errors(edges, centroids))
        if error[-1] <= 0:
            break
        best, least = None, math.inf
        for lot in generator.random(draws) * error[-1]:
            cluster = min(int(np.searchsorted(error, lot, side="right")), len(centroids) - 1)
            before = error[cluster - 1] if cluster else 0.0
            place = values.place_of_error(edges[cluster], edges[cluster + 1], centroids[cluster], lot - before)
            tried = np.union1d(centroids, values.values[place].astype("float64"))
            left = values.errors(values.edges(tried), tried).sum()
            if len(tried) > len(centroids) and left < least:
                best, least = tried, left
        if best is None:
            break
        centroids = best
    return centroids


def boundaries(centroids: np.ndarray, dtype: Any) -> np.ndarray:
    """Midpoints between ascending centroids; a number on a midpoint belongs to the lower one.

    >>> from keras_arch.ops.clustering import boundaries
    >>> boundaries(np.array([0.0, 1.0, 4.0]), "float32").tolist()
    [0.5, 2.5]
    """
    # In the type of the numbers: NumPy would copy all of them into that of the midpoints.
    return ((centroids[1:] + centroids[:-1]) / 2).astype(dtype)


def nearest(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Index of the centroid that is nearest to each number.

    Args:
        values: numbers, any shape.
        centroids: ascending.
    Returns:
        Array of the shape of `values`, of the smallest of uint8 and int32 that holds the indices.

    >>> from keras_arch.ops.clustering import nearest
    >>> nearest(np.array([0.1, 3.0, 0.6], "float32"), np.array([0.0, 1.0, 4.0]))
    array([0, 2, 1], dtype=uint8)
    """
    flat, limits = values.reshape(-1), boundaries(centroids, values.dtype)
    indices = np.empty(flat.shape, "uint8" if len(centroids) <= 256 else "int32")

    def look_up(begin: int) -> None:
        part = slice(begin, begin + CHUNK)
        indices[part] = np.searchsorted(limits, flat[part], side="left")

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy lets other threads search
        list(threads.map(look_up, range(0, len(flat), CHUNK)))
    return indices.reshape(values.shape)


def _running(numbers: np.ndarray) -> np.ndarray:
    sums = np.empty(len(numbers) + 1)
    sums[0] = 0
    np.cumsum(numbers, out=sums[1:])
    return sums


def _divide_worst(values: SortedValues, centroids: np.ndarray) -> np.ndarray:
    """Put two centroids where the cluster with the largest error has one: the means of what lies below and above it."""
    edges = values.edges(centroids)
    worst = int(np.argmax(values.errors(edges, centroids)))
    begin, end = edges[worst], edges[worst + 1]
    limit = values.values.dtype.type(centroids[worst])
    middle = begin + np.searchsorted(values.values[begin:end], limit, side="right")
    middle = int(np.clip(middle, begin + 1, max(end - 1, begin + 1)))
    halves = values.means(np.array([begin, middle, end]))
    return np.unique(np.concatenate([np.delete(centroids, worst), halves[~np.isnan(halves)]]))
