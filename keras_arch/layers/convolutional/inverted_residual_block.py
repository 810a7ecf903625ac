"""A depthwise convolution between a widening and a narrowing one: the block of MobileNet and EfficientNet."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.inner_channels import InnerChannels
from keras_arch.core.registration import register
from keras_arch.layers.convolutional.convolutional_block import ConvolutionalBlock
from keras_arch.layers.convolutional.inner_filters import inner_filters
from keras_arch.layers.convolutional.squeeze_excite import SqueezeExcite


@register
class InvertedResidualBlock(ConvolutionalBlock):
    """Widen, convolve each channel by itself, weigh the channels, narrow without an activation, add the input.

    y = activation(norm(expand_conv(x))); y = excite(activation(norm(depthwise_conv(y)))); y = norm(project_conv(y)).
    output = x + y where s = 1 and C = F, else y.   x: (B, H, W, C), y: (B, ceil(H / s), ceil(W / s), F).
    expand_conv: C -> E, project_conv: E -> F.   E: `hidden_filters`, F: `filters`, s: `strides`.

    expand_ratio=1 without `hidden_filters` has no expand_conv. MobileNetV2: the defaults, with
    normalization=keras.layers.BatchNormalization(momentum=0.999). MobileNetV3: activation="hard_silu" or "relu",
    squeeze_excite=SqueezeExcite(0.25, divisor=8, gate="hard_sigmoid"). EfficientNet: activation="silu",
    squeeze_excite=0.25. The layers are those of Keras: `expand_conv`, `expand_norm`, `depthwise_conv`,
    `depthwise_norm`, `project_conv`, `project_norm`. A mask does not travel on.

    Args:
        filters: F, channels of the output, >= 1.
        expand_ratio: E / C, >= 1; E is rounded to the next integer. Not used where `hidden_filters` is given.
        kernel_size: of the depthwise convolution, pixels.
        strides: s, of the depthwise convolution, pixels.
        dilation_rate: of the depthwise convolution; 1 where s > 1.
        activation: after all but the last convolution; anything `keras.activations.get` takes.
        normalization: "batch" or "layer" with the defaults of Keras, None, or a Keras layer after which all of the
            block's are made (an axis of -1 means the channels).
        squeeze_excite: None; R / C, a fraction of the channels of the block's input as in EfficientNet, of a
            `keras_arch.layers.SqueezeExcite` with the block's activation; or a layer that keeps the shape of its
            input, E channels.
        stochastic_depth: rate at which the branch is dropped for a sample in training, in [0, 1); acts where the
            input is added.
        use_bias: whether the convolutions have biases.
        padding: "same", or "symmetric" as PyTorch pads; see `keras_arch.layers.ResidualBlock`.
        kernel_initializer: of all convolutions; None for a normal distribution with the variance 2 / fan_out.
        kernel_regularizer: likewise.
        data_format: "channels_last" or "channels_first"; None for `keras.config.image_data_format()`.
        seed: of stochastic depth.
        hidden_filters: E, >= 1; None for expand_ratio C.
        squeeze_width: units inside the `SqueezeExcite`, in place of what the ratio says; None for that.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, H, W, C), or (B, C, H, W) for "channels_first"; H and W may be None.
        training: whether normalizations use the batch, and stochastic depth acts.

    Returns:
        (B, ceil(H / s), ceil(W / s), F), likewise.

    Raises:
        ValueError: for an argument out of range, or an input of other rank or of unknown channels.

    Source: Sandler et al. 2018, arXiv:1801.04381, section 3; squeeze and excitation: Howard et al. 2019,
        arXiv:1905.02244; Tan & Le 2019, arXiv:1905.11946.

    >>> block = ka.layers.InvertedResidualBlock(4, expand_ratio=3, squeeze_excite=0.5)
    >>> tuple(block(np.ones((2, 6, 5, 4), "float32")).shape), tuple(block.depthwise_conv.kernel.shape)
    ((2, 6, 5, 4), (3, 3, 12, 1))
    """

    def __init__(
        self,
        filters: int,
        expand_ratio: float = 6,
        kernel_size: int = 3,
        strides: int = 1,
        dilation_rate: int = 1,
        activation: Any = "relu6",
        normalization: Any = "batch",
        squeeze_excite: float | keras.layers.Layer | None = None,
        stochastic_depth: float = 0.0,
        use_bias: bool = False,
        padding: str = "same",
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        data_format: str | None = None,
        seed: int | None = None,
        hidden_filters: int | None = None,
        squeeze_width: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            dilation_rate,
            activation,
            normalization,
            squeeze_excite,
            stochastic_depth,
            use_bias,
            padding,
            kernel_initializer,
            kernel_regularizer,
            data_format,
            seed,
            hidden_filters,
            squeeze_width,
            **kwargs,
        )
        self.expand_ratio = check.real("expand_ratio", expand_ratio, minimum=1, maximum=1e6)

    def build(self, input_shape: tuple) -> None:
        shape, channels = tuple(input_shape), self._channels(input_shape)
        if self.expands:
            wide = self.hidden_filters or int(self.expand_ratio * channels + 0.5)
            shape = self._build_convolution("expand_conv", shape, wide)
            self._build_normalization("expand_norm", shape)
        shape = self._build_convolution(
            "depthwise_conv", shape, None, self.kernel_size, self.strides, self.dilation_rate
        )
        self._build_normalization("depthwise_norm", shape)
        self._build_excitation(shape, channels)
        shape = self._build_convolution("project_conv", shape, self.filters)
        self._build_normalization("project_norm", shape)
        self.adds_input = self.strides == 1 and channels == self.filters
        if self.adds_input:
            self._build_stochastic_depth()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = inputs
        if self.expands:
            x = self.activation(self._normalize("expand_norm", self._convolve("expand_conv", x)))
        x = self.activation(self._normalize("depthwise_norm", self._convolve("depthwise_conv", x)))
        x = self._convolve("project_conv", self._excite(x))
        x = self._normalize("project_norm", x)
        return inputs + self._drop(x, training) if self.adds_input else x

    def inner_channels(self) -> list[InnerChannels]:
        """The wide channels and the units inside squeeze and excitation, for pruning.

        Not the wide ones without an expand_conv (they are those of the input), behind another layer than
        `SqueezeExcite`, or where the normalization is not of each channel, such as "layer".
        """
        excitation = getattr(self, "excitation", self.squeeze_excite)
        given = excitation is self.squeeze_excite
        if not self.expands or (excitation is not None and type(excitation) is not SqueezeExcite):
            return self._squeezed()
        parts = ("expand", "depthwise")
        stages = [(getattr(self, f"{part}_conv"), getattr(self, f"{part}_norm", None)) for part in parts]
        readers, options = [self.project_conv], {}
        if excitation is not None:
            readers.append(excitation.squeeze_dense)
            options["gate"] = excitation.excite_dense
        if excitation is not None and given:
            width = {"ratio": None, "divisor": 1, "width": excitation.squeeze_dense.units}
            options["config"] = {f"squeeze_excite.{name}": value for name, value in width.items()}
        return [*inner_filters(stages, self.activation, readers, "hidden_filters", **options), *self._squeezed()]

    @property
    def expands(self) -> bool:
        """Whether there is an expand_conv."""
        return self.expand_ratio != 1 or self.hidden_filters is not None

    def get_config(self) -> dict:
        return {**super().get_config(), "expand_ratio": self.expand_ratio}
