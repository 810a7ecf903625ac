"""A learned scale per channel at the end of a residual branch."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.precision import at_least_float32


@register
class LayerScale(keras.layers.Layer):
    """Multiply each channel by a learned number that starts small.

    output[..., d] = input[..., d] * gamma[d].   d: channel, of D.

    Put it at the end of a residual branch: with gamma near 0 a deep stack starts near the identity and trains stably.
    The product is taken in float32 and cast last, since 1e-5 has few bits left in float16. A mask passes through.

    Args:
        initial_value: of every gamma. The paper: 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 beyond.
        gamma_regularizer: of gamma, such as "l1", which turns channels off.
        gamma_constraint: of gamma.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (..., D), of any rank from 1.

    Returns:
        Tensor of the shape and the dtype of the (autocast) input.

    Raises:
        ValueError: if `initial_value` is no finite number, or D is unknown.

    Source: Touvron et al. 2021, arXiv:2103.17239, section 2.

    >>> layer = ka.layers.LayerScale(0.5)
    >>> keras.ops.convert_to_numpy(layer(np.array([[2.0, 4.0]]))).tolist()
    [[1.0, 2.0]]
    """

    def __init__(
        self, initial_value: float = 1e-5, gamma_regularizer: Any = None, gamma_constraint: Any = None, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.initial_value = check.real("initial_value", initial_value, minimum=-3e38, maximum=3e38)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        if not len(input_shape) or input_shape[-1] is None:
            advice = "Give the last axis of the input a size."
            raise check.refuse("inputs", "must have a last axis of known size", tuple(input_shape), advice)
        self.gamma = self.add_weight(
            name="gamma",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.initial_value),
            regularizer=self.gamma_regularizer,
            constraint=self.gamma_constraint,
            autocast=False,
        )

    def call(self, inputs: Any) -> Any:
        wide = at_least_float32(inputs.dtype)
        return ops.cast(ops.cast(inputs, wide) * ops.cast(self.gamma, wide), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "initial_value": self.initial_value,
            "gamma_regularizer": keras.regularizers.serialize(self.gamma_regularizer),
            "gamma_constraint": keras.constraints.serialize(self.gamma_constraint),
        }
