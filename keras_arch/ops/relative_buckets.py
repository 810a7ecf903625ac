"""Buckets of distances: one each for the near ones, logarithmic ones for the far."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check


def bucket_of_distance(num_buckets: int, max_distance: int) -> np.ndarray:
    """Bucket of each distance from 0 to `max_distance` in one direction.

    bucket(d) = d for d < E, else min(K - 1, E + floor((K - E) * log(d / E) / log(M / E))),  E = K // 2.
    K: buckets, M: max_distance, d: distance.

    The edges are decided in whole numbers, d ** (K - E) E ** j >= E ** (K - E) M ** j: a rounded logarithm would put
    some of the distances that stand on an edge into the bucket before it.

    Args:
        num_buckets: K, >= 2.
        max_distance: M, > E; this distance and all beyond it share the last bucket.
    Returns:
        int32 NumPy array, shape (M + 1,), not falling.
    Raises:
        ValueError: for sizes out of range.
    Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1, and the authors' program.

    >>> bucket_of_distance(6, 12).tolist()
    [0, 1, 2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 5]
    """
    num_buckets = check.integer("num_buckets", num_buckets, minimum=2)
    exact = num_buckets // 2
    max_distance = check.integer("max_distance", max_distance, minimum=exact + 1)
    steps = num_buckets - exact
    edges = list(range(1, exact + 1))
    for step in range(1, steps):
        right = exact ** (steps - step) * max_distance**step  # d ** steps >= right, where both sides lost exact ** step
        edge = round(exact * (max_distance / exact) ** (step / steps))
        while edge**steps >= right:
            edge -= 1
        while edge**steps < right:
            edge += 1
        edges.append(edge)
    return np.searchsorted(edges, np.arange(max_distance + 1), side="right").astype("int32")


def relative_buckets(
    relative_positions: Any, num_buckets: int = 32, max_distance: int = 128, bidirectional: bool = True
) -> Any:
    """Bucket of the position of a key relative to a query.

    One direction: the bucket of max(0, -r), so that all later keys share bucket 0. Both: the buckets of |r| in half as
    many, those of later keys (r > 0) after those of the others.   r: position of the key minus that of the query.

    Args:
        relative_positions: r, integer tensor of any shape, in tokens.
        num_buckets: of all; even if `bidirectional`.
        max_distance: from where on all distances share the last bucket of their direction.
        bidirectional: whether later keys have buckets of their own.
    Returns:
        int32 tensor of the same shape, within [0, num_buckets).
    Raises:
        ValueError: for sizes out of range, or an odd number of buckets for two directions.

    >>> keras.ops.convert_to_numpy(relative_buckets([-200, -1, 0, 1, 200], 8, 16)).tolist()
    [3, 1, 0, 5, 7]
    """
    relative_positions = ops.convert_to_tensor(relative_positions)
    if not keras.backend.is_int_dtype(relative_positions.dtype):
        received = keras.backend.standardize_dtype(relative_positions.dtype)
        raise ValueError(f"relative_positions must be integers; received the dtype {received}. Cast them to int32.")
    relative_positions = ops.cast(relative_positions, "int32")
    if not bidirectional:
        table = bucket_of_distance(num_buckets, max_distance)
        return ops.take(ops.convert_to_tensor(table), ops.clip(-relative_positions, 0, max_distance))
    num_buckets = check.integer("num_buckets", num_buckets, minimum=4)
    if num_buckets % 2:
        advice = f"Use num_buckets={num_buckets + 1}."
        raise check.refuse("num_buckets", "must be even for two directions", num_buckets, advice)
    table = bucket_of_distance(num_buckets // 2, max_distance)
    bucket = ops.take(ops.convert_to_tensor(table), ops.minimum(ops.abs(relative_positions), max_distance))
    return bucket + ops.where(ops.greater(relative_positions, 0), num_buckets // 2, 0)
