"""A penalty on activations that vary together."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.covariance import off_diagonal_covariance


@register
class Decorrelation(keras.Regularizer):
    """DeCov: squared covariances between different features of a layer's outputs, for `activity_regularizer`.

    loss = strength / 2 · Σ_{i≠j} C[i, j]²,   C = 1/N Σ_n (h[n] − mean)(h[n] − mean)ᵀ

    h: outputs (N, …, F), N: samples, F: features. Features that say the same thing twice cost; redundant ones turn to
    something else or fade, so overfitting falls. Outputs of rank 3 or more, as of convolutions and sequences, give a
    sample for each position; the paper has dense layers only.

    Keras divides what an activity regularizer returns by the batch size, since the others sum over the batch. This
    penalty is a mean already, so the call returns the loss times the batch size: what is added to `layer.losses` is the
    formula above, whatever the batch size. (With a mask, padded positions count as samples: Keras hands no mask to
    regularizers.)

    Args:
        strength: factor of the loss, >= 0.
    Raises:
        ValueError: for a negative strength; at the call, for outputs of rank 0 or 1.
    Returns (call):
        float32 scalar, also for half precision outputs, whose covariances are computed in float32: the loss times the
        batch size.
    Source: Cogswell et al. 2016, arXiv:1511.06068.

    >>> layer = keras.layers.Dense(2, activity_regularizer=Decorrelation(0.1), kernel_initializer="identity")
    >>> outputs = layer(np.array([[1.0, 1.0], [-1.0, -1.0]]))
    >>> round(float(layer.losses[0]), 4)
    0.1
    """

    def __init__(self, strength: float = 0.1) -> None:
        self.strength = check.strength("strength", strength)

    def __call__(self, x: Any) -> Any:
        """Loss of one batch of outputs times its size: a float32 scalar."""
        if len(x.shape) < 2:
            raise ValueError(
                "Decorrelation needs outputs of the shape (batch, ..., features); received the shape "
                f"{tuple(x.shape)}. Give it to a layer's activity_regularizer."
            )
        loss = off_diagonal_covariance(x)
        return self.strength * loss * ops.cast(ops.shape(x)[0], loss.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"strength": self.strength}
