"""How features of activations vary together."""

from typing import Any

from keras import ops

from keras_arch.ops.groups import widened

Tensor = Any


def off_diagonal_covariance(activations: Tensor) -> Tensor:
    """Half the sum of squared covariances between different features.

    ½ Σ_{i≠j} C[i, j]²,   C = 1/N Σ_n (h[n] − mean)(h[n] − mean)ᵀ

    Args:
        activations: h, any float dtype, shape (N, …, F): each index of all axes but the last is a sample.
    Returns:
        Scalar, float32 (float64 for float64).

    >>> float(off_diagonal_covariance(np.array([[1.0, 1.0], [-1.0, -1.0]])))  # C is all ones
    1.0
    """
    features = activations.shape[-1]
    samples = ops.reshape(widened(activations), (-1, features))  # (N, F)
    centered = samples - ops.mean(samples, axis=0)
    number = ops.cast(ops.shape(samples)[0], samples.dtype)
    covariance = ops.matmul(ops.transpose(centered), centered) / number  # (F, F)
    # Masked, not subtracted: the diagonal is the larger part, and float32 would lose the rest beside it.
    return ops.sum(ops.square(covariance * (1 - ops.eye(features, dtype=samples.dtype)))) / 2
