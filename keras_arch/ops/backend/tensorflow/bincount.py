"""Sums by bin with a size that is known before the data."""

from typing import Any

import tensorflow as tf


def bincount(index: Any, size: int, weights: Any = None) -> Any:
    """Sum the weights of each bin, or count its members.

    `tf.math.bincount` finds its size in the data, so that XLA compiles it anew whenever the data changes.

    Args:
        index: int32 (N,), each from 0 to size − 1.
        size: number of bins.
        weights: float32 or float64 (N,); None counts.
    Returns:
        Tensor (size,) of the weights' dtype, int32 for counts.
    """
    if weights is None:
        weights = tf.constant([], tf.int32)
    return tf.raw_ops.DenseBincount(input=index, size=size, weights=weights)
