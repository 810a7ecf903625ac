"""Weights that share one value in each cluster, as tensors: gradients join, values are joined again."""

from typing import Any

import keras
from keras import ops


def joined_gradient(gradient: Any, index: Any, clusters: int, mean: bool = False) -> Any:
    """The gradient of each cluster's value, laid out over its members.

    joined[i] = Σ_{j: index[j] = index[i]} gradient[j], divided by the number of these j for the mean

    Summed in float32 at least.

    Args:
        gradient: of each weight, any shape.
        index: cluster of each weight, integers of the same shape, from 0 to clusters − 1.
        clusters: number of clusters.
        mean: whether to divide by the number of members.
    Returns:
        Tensor of the shape and type of `gradient`.
    Source: Han et al. 2016, arXiv:1510.00149, equation 3 (the sum).

    >>> from keras_arch.ops.shared_weights import joined_gradient
    >>> joined = joined_gradient(np.array([1.0, 2.0, 5.0], "float32"), np.array([0, 0, 1]), 2)
    >>> keras.ops.convert_to_numpy(joined).tolist()
    [3.0, 3.0, 5.0]
    """
    flat, index, shape, dtype = _flat(gradient, index)
    totals = _sums(flat, index, clusters)
    if mean:
        totals = totals / _members(index, clusters, totals.dtype)
    return ops.reshape(ops.take(ops.cast(totals, dtype), index), shape)


def joined_value(value: Any, index: Any, clusters: int) -> Any:
    """The mean of each cluster, laid out over its members; members that are equal keep their value to the last bit.

    joined[i] = mean of value[j] over the j with index[j] = index[i]

    Args:
        value: of each weight, any shape.
        index: cluster of each weight, integers of the same shape, from 0 to clusters − 1.
        clusters: number of clusters.
    Returns:
        Tensor of the shape and type of `value`, with as many different numbers as there are clusters, or fewer.

    >>> from keras_arch.ops.shared_weights import joined_value
    >>> joined = joined_value(np.array([1.0, 2.0, 5.0], "float32"), np.array([0, 0, 1]), 2)
    >>> keras.ops.convert_to_numpy(joined).tolist()
    [1.5, 1.5, 5.0]
    """
    flat, index, shape, dtype = _flat(value, index)
    members = _members(index, clusters, flat.dtype)
    # A plain sum of a million equal float32 numbers is wrong in the third digit: sum in float64, or sum what differs.
    if keras.backend.backend() == "tensorflow":
        means = _sums(ops.cast(flat, "float64"), index, clusters) / ops.cast(members, "float64")
    else:
        largest = ops.segment_max(flat, index, num_segments=clusters)
        means = largest + _sums(flat - ops.take(largest, index), index, clusters) / members
    # To the narrow type first: fewer bytes to spread.
    return ops.reshape(ops.take(ops.cast(means, dtype), index), shape)


def _sums(flat: Any, index: Any, clusters: int) -> Any:
    """Sum over each cluster, shape (clusters,)."""
    # TensorFlow's segment_sum of single numbers takes fifty times as long on CPUs; JAX compiles no bincount of tensors.
    if keras.backend.backend() == "tensorflow":
        return _bincount(index, clusters, flat)
    if keras.backend.backend() == "jax":
        return ops.segment_sum(flat, index, num_segments=clusters)
    return ops.bincount(index, weights=flat, minlength=clusters)


def _members(index: Any, clusters: int, dtype: Any) -> Any:
    """Members of each cluster, 1 for none."""
    if keras.backend.backend() == "tensorflow":
        counts = _bincount(index, clusters)
    elif keras.backend.backend() == "jax":
        counts = _sums(ops.ones(index.shape, "int32"), index, clusters)
    else:
        counts = ops.bincount(index, minlength=clusters)
    return ops.cast(ops.maximum(counts, 1), dtype)


def _bincount(index: Any, clusters: int, weights: Any = None) -> Any:
    from keras_arch.ops.backend.tensorflow.bincount import bincount

    return bincount(index, clusters, weights)


def _flat(tensor: Any, index: Any) -> tuple[Any, Any, tuple[int, ...], str]:
    tensor = ops.convert_to_tensor(tensor)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    shape = tuple(index.shape)
    flat = ops.cast(ops.reshape(tensor, (-1,)), "float64" if dtype == "float64" else "float32")
    return flat, ops.cast(ops.reshape(index, (-1,)), "int32"), shape, dtype
