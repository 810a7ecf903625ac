"""Global response normalization as a layer."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.global_response import global_response


@register
class GlobalResponseNormalization(keras.layers.Layer):
    """Weigh the channels of an image against one another by their energy over the whole image.

    output = gamma * (x * norm / (mean(norm) + epsilon)) + beta + x, norm[b, c] = ||x[b, :, :, c]||.
    b: sample, c: channel, of C; the mean is over the channels.

    gamma and beta start at 0, so the layer starts as the identity. Everything is computed in float32 and cast last. A
    mask does not travel on: padded places take part in the norms.

    Args:
        epsilon: added to the mean norm.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, ..., C), with one axis or more between; channels come last.

    Returns:
        Tensor of the shape and the dtype of the (autocast) input.

    Raises:
        ValueError: if `epsilon` is not in (0, 1], or the input has no places, or channels of unknown number.

    Source: Woo et al. 2023, arXiv:2301.00808, section 3, algorithm 1.

    >>> layer = ka.layers.GlobalResponseNormalization()
    >>> tuple(layer(np.ones((2, 3, 5, 4), "float32")).shape), layer.count_params()
    ((2, 3, 5, 4), 8)
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs) -> None:
        super().__init__(**kwargs)
        self.epsilon = check.real("epsilon", epsilon, minimum=0, maximum=1, open_minimum=True)

    def build(self, input_shape: tuple) -> None:
        if len(input_shape) < 3 or input_shape[-1] is None:
            rule = "must have a batch axis, places, and channels of known number"
            raise check.refuse("inputs", rule, tuple(input_shape), "Pass (batch, height, width, channels).")
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="zeros", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)

    def call(self, inputs: Any) -> Any:
        weighed = global_response(inputs, self.epsilon)
        gamma, beta = ops.cast(self.gamma, weighed.dtype), ops.cast(self.beta, weighed.dtype)
        return ops.cast(gamma * weighed + beta + ops.cast(inputs, weighed.dtype), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "epsilon": self.epsilon}
