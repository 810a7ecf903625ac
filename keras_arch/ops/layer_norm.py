"""Layer normalization of rows, apart from any layer."""

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_arch.ops.precision import at_least_float32

Tensor = Any


class Norm(NamedTuple):
    """Gain and shift of one layer normalization.

    Args:
        gamma: gain, shape (N,).
        beta: shift, shape (N,).

    >>> Norm(gamma=np.ones(4), beta=np.zeros(4)).gamma.shape
    (4,)
    """

    gamma: Tensor
    beta: Tensor


def standardize(x: Tensor, epsilon: float) -> Tensor:
    """Shift and scale each row to mean 0 and variance 1.

    y = (x − mean(x)) / sqrt(var(x) + epsilon), over the last axis, in float32 at least: the squares of float16 values
    above 255 overflow.

    Args:
        x: floats of any precision, shape (..., N).
        epsilon: added to the variance, so that a constant row becomes zeros.
    Returns:
        float32 tensor (float64 for float64), shape (..., N).
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, without gain and shift.

    >>> np.round(standardize(np.array([[1.0, 3.0]]), epsilon=0.0), 3).tolist()
    [[-1.0, 1.0]]
    """
    x = ops.cast(x, at_least_float32(x.dtype))
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    return centred * ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + epsilon)


def scaled(x: Tensor, gamma: Tensor, epsilon: float) -> Tensor:
    """Standardize each row and multiply by a gain.

    y = gamma (x − mean(x)) / sqrt(var(x) + epsilon), over the last axis, in float32 at least. On TensorFlow the
    gradient is written by hand, for a recurrent cell runs it every step.

    Args:
        x: floats of any precision, shape (..., N).
        gamma: gain, shape (N,).
        epsilon: added to the variance.
    Returns:
        float32 tensor (float64 for float64), shape (..., N).
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, without shift.

    >>> np.round(scaled(np.array([[1.0, 3.0]]), np.array([2.0, 5.0]), epsilon=0.0), 3).tolist()
    [[-2.0, 5.0]]
    """
    dtype = at_least_float32(x.dtype)
    gamma = ops.cast(gamma, dtype)
    if keras.backend.backend() == "tensorflow":
        from keras_arch.ops.backend.tensorflow import layer_norm

        return layer_norm.scaled(ops.cast(x, dtype), gamma, epsilon)
    return standardize(x, epsilon) * gamma
