"""Layer normalization on TensorFlow, with a gradient of fewer and larger operations than differentiating it gives.

Inside `keras.layers.RNN` every operation, and every tensor kept for the gradient, costs once a time step.
"""

from typing import Any

import tensorflow as tf


def scaled(x: Any, gamma: Any, epsilon: float) -> Any:
    """gamma (x − mean(x)) / sqrt(var(x) + epsilon) over the last axis, in the dtype of x.

    With y = (x − mean(x)) / s, s = sqrt(var(x) + epsilon), and the gradient d of the result:
    gamma gets Σ d y over the rows, x gets (d gamma − mean(d gamma) − y mean(d gamma y)) / s. These are ordinary
    operations on tensors that depend on x and gamma in ordinary ways, so that second derivatives are right.

    Args:
        x: floats, shape (..., N).
        gamma: shape (N,), in the dtype of x.
        epsilon: added to the variance.
    """

    @tf.custom_gradient
    def run(x: Any, gamma: Any) -> tuple[Any, Any]:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True) + epsilon)
        y = centred * inverse

        def gradient(upstream: Any) -> tuple[Any, Any]:
            along_y, inner = upstream * y, upstream * gamma
            mean = tf.reduce_mean(inner, axis=-1, keepdims=True)
            slope = tf.reduce_mean(along_y * gamma, axis=-1, keepdims=True)
            rows = list(range(x.shape.rank - 1))
            return (inner - mean - y * slope) * inverse, tf.reduce_sum(along_y, axis=rows)

        return y * gamma, gradient

    return run(x, gamma)
