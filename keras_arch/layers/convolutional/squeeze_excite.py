"""Squeeze and excitation: channels are weighed by what the whole image shows."""

import math
from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.gated_channels import GatedChannels
from keras_arch.core.initializer import cloned
from keras_arch.core.inner_channels import InnerChannels, acts_alone, between, bias_of, is_plain
from keras_arch.core.registration import register
from keras_arch.layers.convolutional.channels import as_data_format, known_channels
from keras_arch.ops.precision import at_least_float32


def bottleneck_width(channels: int, ratio: float, divisor: int = 1) -> int:
    """Units of a bottleneck: a fraction of the channels, as a multiple of a divisor.

    divisor = 1: max(1, floor(ratio C)).   C: channels.
    divisor = d > 1: the multiple of d next to ratio C, at least d, and one d more where that is below 0.9 ratio C.

    Source: d > 1: Howard et al. 2019, arXiv:1905.02244, as in the authors' released code.

    >>> bottleneck_width(30, 0.25), bottleneck_width(30, 0.25, 8), bottleneck_width(4, 0.1)
    (7, 8, 1)
    """
    wanted = ratio * channels
    if divisor == 1:
        return max(1, math.floor(wanted + 1e-9))  # 0.29 * 100 is 28.999999999999996
    width = max(divisor, math.floor(wanted / divisor + 0.5) * divisor)
    return width + divisor if width < 0.9 * wanted else width


@register
class SqueezeExcite(keras.layers.Layer):
    """Weigh each channel by a number between 0 and 1 that two small layers compute from the means of all channels.

    output[b, s, c] = input[b, s, c] gate(W2 activation(W1 mean[b] + b1) + b2)[c], mean[b, c] = mean_s input[b, s, c].
    b: sample, s: place, c: channel, of C; W1: (C, R), W2: (R, C), R: bottleneck width.

    The two layers are `keras.layers.Dense`, held as `squeeze_dense` and `excite_dense`, so LoRA and `model.quantize`
    reach them. The mean is taken in float32. A mask does not travel on: padded places take part in the mean.

    Args:
        ratio: R / C, in (0, 1]; rounded by `divisor`. The paper's reduction r = 16 is 1/16, the default.
        width: R itself, in place of `ratio`.
        activation: between the two layers; anything `keras.activations.get` takes.
        gate: after the second; MobileNetV3 has "hard_sigmoid".
        divisor: 1: R = max(1, floor(ratio C)). Above, R is the multiple of it next to ratio C, at least one, and one
            more where that loses more than a tenth (MobileNetV3: 8).
        use_bias: whether the two layers have biases.
        kernel_initializer: of the two layers.
        kernel_regularizer: likewise.
        data_format: "channels_last" or "channels_first"; None for `keras.config.image_data_format()`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, ..., C) or (B, C, ...), with one axis of places or more, of any size.

    Returns:
        Tensor of the shape of the input.

    Raises:
        ValueError: for an argument out of range, a `width` beside a `ratio`, or an input without places or with
            channels of unknown number.

    Source: Hu et al. 2018, arXiv:1709.01507, section 3.

    >>> layer = ka.layers.SqueezeExcite(ratio=0.25)
    >>> tuple(layer(np.ones((2, 6, 5, 8), "float32")).shape), layer.count_params()
    ((2, 6, 5, 8), 42)
    """

    def __init__(
        self,
        ratio: float | None = None,
        width: int | None = None,
        activation: Any = "relu",
        gate: Any = "sigmoid",
        divisor: int = 1,
        use_bias: bool = True,
        kernel_initializer: Any = "he_normal",
        kernel_regularizer: Any = None,
        data_format: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if ratio is not None and width is not None:
            raise check.refuse("width", "stands in place of ratio", width, "Leave one of the two out.")
        if width is not None and divisor != 1:
            raise check.refuse("divisor", "rounds a ratio and no width", divisor, "Leave it out.")
        if width is None:
            ratio = check.real("ratio", 1 / 16 if ratio is None else ratio, minimum=0, maximum=1, open_minimum=True)
        self.ratio = ratio
        self.width = None if width is None else check.integer("width", width)
        self.activation = keras.activations.get(activation)
        self.gate = keras.activations.get(gate)
        self.divisor = check.integer("divisor", divisor)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.data_format = as_data_format(data_format)

    def build(self, input_shape: tuple) -> None:
        channels = known_channels(input_shape, self.data_format, least_rank=3)
        width = self.width or bottleneck_width(channels, self.ratio, self.divisor)
        self.squeeze_dense = self._dense("squeeze", width, self.activation, channels)
        self.excite_dense = self._dense("excite", channels, self.gate, width)

    def call(self, inputs: Any) -> Any:
        rank = len(inputs.shape)
        channel_axis = rank - 1 if self.data_format == "channels_last" else 1
        places = tuple(axis for axis in range(1, rank) if axis != channel_axis)
        wide = at_least_float32(inputs.dtype)
        means = ops.mean(ops.cast(inputs, wide), axis=places)  # (B, C)
        weights = self.excite_dense(self.squeeze_dense(ops.cast(means, inputs.dtype)))
        return inputs * ops.expand_dims(weights, places)  # (B, 1, ..., C) or (B, C, 1, ...)

    def inner_channels(self) -> list[InnerChannels]:
        """The units between the two layers, for pruning."""
        config = {"ratio": None, "divisor": 1}
        return between([[self.squeeze_dense]], self.excite_dense, "width", config=config)

    def gated_channels(self) -> GatedChannels | None:
        """What belongs to each channel of the input, for `compression.shrink`. None for "channels_first"."""
        squeeze, excite = self.squeeze_dense, self.excite_dense
        first = self.data_format == "channels_first"
        if first or not is_plain(squeeze, excite) or not acts_alone(excite.activation):
            return None
        slices = ((squeeze.kernel, -2), (excite.kernel, -1), *bias_of(excite))
        return GatedChannels(slices, readers=(0,), config={"ratio": None, "divisor": 1, "width": squeeze.units})

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "width": self.width,
            "activation": keras.activations.serialize(self.activation),
            "gate": keras.activations.serialize(self.gate),
            "divisor": self.divisor,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "data_format": self.data_format,
        }

    def _dense(self, name: str, units: int, activation: Any, size: int) -> keras.layers.Dense:
        layer = keras.layers.Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            kernel_initializer=cloned(self.kernel_initializer),
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, size))
        return layer
