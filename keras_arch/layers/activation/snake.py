"""The snake activation with a learned frequency for each channel."""

import math
from typing import Any

import keras
from keras import ops

from keras_arch.activations.snake import snake
from keras_arch.core import check
from keras_arch.core.registration import register


@register
class Snake(keras.layers.Layer):
    """Add a squared sine of a learned frequency to each channel.

    output[..., d] = x[..., d] + sin²(a[d] x[..., d]) / a[d],   a = exp(alpha), or alpha itself.   d: channel, of D.

    The weight `alpha` is kept, and the sine taken, in float32. A mask passes through.

    Args:
        initial_frequency: of every a, in radians per unit of input, > 0. The paper: 0.2 to 1 for common tasks, 5 to 50
            where the data is known to oscillate.
        log_scale: whether the weight is log a, which keeps a positive and makes its steps relative.
            Without it the weight is a itself; `alpha_constraint="non_neg"` then keeps it from turning the sine over.
        alpha_regularizer: of the weight.
        alpha_constraint: of the weight.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`; trainable=False keeps the frequency.

    Call arguments:
        inputs: float tensor, (..., D), of any rank from 1.

    Returns:
        Tensor of the shape and dtype of the (autocast) input.

    Raises:
        ValueError: if `initial_frequency` is not a positive number, or D is unknown.

    Source: Ziyin et al. 2020, arXiv:2006.08195; Lee et al. 2023, arXiv:2206.04658 (BigVGAN), for a frequency for each
    channel. The logarithm is not in these papers, but in BigVGAN's published models.

    >>> layer = ka.layers.Snake(initial_frequency=2.0)
    >>> np.allclose(layer(np.array([[np.pi / 4, np.pi / 2]])), [[np.pi / 4 + 0.5, np.pi / 2]])
    True
    """

    def __init__(
        self,
        initial_frequency: float = 1.0,
        log_scale: bool = True,
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.initial_frequency = check.real(
            "initial_frequency", initial_frequency, minimum=0, maximum=3e38, open_minimum=True
        )
        self.log_scale = bool(log_scale)
        self.alpha_regularizer = keras.regularizers.get(alpha_regularizer)
        self.alpha_constraint = keras.constraints.get(alpha_constraint)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        if not len(input_shape) or input_shape[-1] is None:
            advice = "Give the last axis of the input a size."
            raise check.refuse("inputs", "must have a last axis of known size", tuple(input_shape), advice)
        initial = math.log(self.initial_frequency) if self.log_scale else self.initial_frequency
        self.alpha = self.add_weight(
            name="alpha",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(initial),
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            autocast=False,  # a frequency in half precision is another frequency
        )

    def call(self, inputs: Any) -> Any:
        return snake(inputs, ops.exp(self.alpha) if self.log_scale else ops.convert_to_tensor(self.alpha))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "initial_frequency": self.initial_frequency,
            "log_scale": self.log_scale,
            "alpha_regularizer": keras.regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": keras.constraints.serialize(self.alpha_constraint),
        }
