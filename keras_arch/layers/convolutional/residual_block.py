"""Two convolutions with a residual connection around them."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.inner_channels import InnerChannels
from keras_arch.core.registration import register
from keras_arch.layers.convolutional.convolutional_block import ConvolutionalBlock
from keras_arch.layers.convolutional.inner_filters import inner_filters

PLACEMENTS = ("post", "pre")
SHORTCUTS = ("projection", "average_pool")


@register
class ResidualBlock(ConvolutionalBlock):
    """Two 3 x 3 convolutions with normalizations, added to their input: the basic block of ResNet.

    "post" (v1):  output = activation(shortcut(x) + norm2(conv2(activation(norm1(conv1(x)))))).
    "pre" (v2):   y = activation(norm1(x)); output = shortcut + conv2(activation(norm2(conv1(y)))).
    x: (B, H, W, C), output: (B, ceil(H / s), ceil(W / s), F).   B: batch, H, W: height and width, C: channels,
    F: `filters`, s: `strides`, of the first convolution.

    The shortcut is x itself where the output has its shape; else a 1 x 1 convolution, `shortcut_conv`, of stride s,
    with "post" followed by a normalization; with "pre" it is one of y. Squeeze and excitation, then stochastic depth,
    act on the branch before the sum. The layers are those of Keras: `conv1`, `norm1`, `conv2`, `norm2`,
    `shortcut_conv`, `shortcut_norm`. A stack of "pre" blocks wants a normalization and an activation after its last. A
    mask does not travel on.

    Args:
        filters: F, channels of the output, >= 1.
        kernel_size: of both convolutions, pixels.
        strides: s, of the first convolution, pixels.
        dilation_rate: of both convolutions; 1 where s > 1.
        activation: anything `keras.activations.get` takes.
        normalization: "batch" or "layer" with the defaults of Keras, None, or a Keras layer such as
            `keras.layers.GroupNormalization(8)`, after which all of the block's are made (an axis of -1 means the
            channels).
        squeeze_excite: None; R / F of a `keras_arch.layers.SqueezeExcite` with the block's activation; or a layer that
            keeps the shape of its input.
        stochastic_depth: rate at which the branch is dropped for a sample in training, in [0, 1).
        use_bias: whether the convolutions have biases.
        padding: "same": as TensorFlow pads, with a stride on even sizes one pixel less before than behind.
            "symmetric": as PyTorch pads, k // 2 pixels on each side, for weights that come from there.
        kernel_initializer: of all convolutions; None for a normal distribution with the variance 2 / fan_out.
        kernel_regularizer: likewise.
        data_format: "channels_last" or "channels_first"; None for `keras.config.image_data_format()`.
        seed: of stochastic depth.
        norm_placement: "post" or "pre".
        shortcut: where the shape changes: "projection", or "average_pool", the mean over s x s pixels before a 1 x 1
            convolution of stride 1 (ResNet-D).
        zero_init_residual: whether the gamma of the last normalization starts at 0, so that the branch starts as
            nothing; needs "post".
        hidden_filters: channels between the two convolutions, >= 1; None for F.
        squeeze_width: units inside the `SqueezeExcite`, in place of what the ratio says; None for that.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, H, W, C), or (B, C, H, W) for "channels_first"; H and W may be None.
        training: whether normalizations use the batch, and stochastic depth acts.

    Returns:
        (B, ceil(H / s), ceil(W / s), F), likewise.

    Raises:
        ValueError: for an argument out of range, or an input of other rank or of unknown channels.

    Source: He et al. 2016, arXiv:1512.03385; "pre": He et al. 2016, arXiv:1603.05027; "average_pool": He et al. 2019,
        arXiv:1812.01187, section 4.2; zero gamma: Goyal et al. 2017, arXiv:1706.02677, section 5.1.

    >>> block = ka.layers.ResidualBlock(8, strides=2, squeeze_excite=0.25)
    >>> tuple(block(np.ones((2, 6, 5, 4), "float32")).shape)
    (2, 3, 3, 8)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        strides: int = 1,
        dilation_rate: int = 1,
        activation: Any = "relu",
        normalization: Any = "batch",
        squeeze_excite: float | keras.layers.Layer | None = None,
        stochastic_depth: float = 0.0,
        use_bias: bool = False,
        padding: str = "same",
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        data_format: str | None = None,
        seed: int | None = None,
        norm_placement: str = "post",
        shortcut: str = "projection",
        zero_init_residual: bool = False,
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
        self.norm_placement = check.one_of("norm_placement", norm_placement, PLACEMENTS)
        self.shortcut = check.one_of("shortcut", shortcut, SHORTCUTS)
        self.zero_init_residual = bool(zero_init_residual)
        last_has_gamma = (
            norm_placement == "post"
            and self.normalization is not None
            and "gamma_initializer" in self.normalization.config
        )
        if self.zero_init_residual and not last_has_gamma:
            advice = 'Use norm_placement="post" and a normalization with gamma_initializer, or leave it out.'
            raise check.refuse("zero_init_residual", "needs a last normalization with a gamma", True, advice)

    def _convolutions(self) -> list[dict[str, int]]:
        """Arguments of the branch's convolutions, in their order."""
        common = {"kernel_size": self.kernel_size, "dilation_rate": self.dilation_rate}
        first = {"filters": self.hidden_filters or self.filters, "strides": self.strides}
        return [{**common, **first}, {**common, "filters": self.filters}]

    def build(self, input_shape: tuple) -> None:
        channels = self._channels(input_shape)
        shape, convolutions = tuple(input_shape), self._convolutions()
        for place, arguments in enumerate(convolutions, start=1):
            if self.norm_placement == "pre":
                self._build_normalization(f"norm{place}", shape)
            shape = self._build_convolution(f"conv{place}", shape, **arguments)
            if self.norm_placement == "post":
                last = place == len(convolutions)
                self._build_normalization(f"norm{place}", shape, starts_at_zero=last and self.zero_init_residual)
        self._build_excitation(shape, self.filters)
        self._build_stochastic_depth()
        if channels != self.filters or self.strides > 1:
            self._build_shortcut(tuple(input_shape))

    def _build_shortcut(self, shape: tuple) -> None:
        strides = self.strides
        if self.shortcut == "average_pool" and strides > 1:
            self.shortcut_pool = keras.layers.AveragePooling2D(
                strides, padding="same", data_format=self.data_format, dtype=self.dtype_policy, name="shortcut_pool"
            )
            shape, strides = self.shortcut_pool.compute_output_shape(shape), 1
        shape = self._build_convolution("shortcut_conv", shape, self.filters, strides=strides)
        if self.norm_placement == "post":
            self._build_normalization("shortcut_norm", shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        pre = self.norm_placement == "pre"
        places = range(1, len(self._convolutions()) + 1)
        branch = source = inputs
        for place in places:
            if pre:
                branch = self.activation(self._normalize(f"norm{place}", branch))
                source = branch if place == 1 else source
            branch = self._convolve(f"conv{place}", branch)
            if not pre:
                branch = self._normalize(f"norm{place}", branch)
                branch = branch if place == places[-1] else self.activation(branch)
        branch = self._drop(self._excite(branch), training)
        output = self._shortcut(inputs, source) + branch
        return output if pre else self.activation(output)

    def _shortcut(self, inputs: Any, source: Any) -> Any:
        if not hasattr(self, "shortcut_conv"):
            return inputs
        x = self.shortcut_pool(source) if hasattr(self, "shortcut_pool") else source
        x = self._convolve("shortcut_conv", x)
        return x if self.norm_placement == "pre" else self._normalize("shortcut_norm", x)

    def inner_channels(self) -> list[InnerChannels]:
        """The channels between the convolutions and the units inside squeeze and excitation, for pruning.

        None where the normalization is not of each channel, such as "layer".
        """
        return [*self._inner_filters(1, "hidden_filters"), *self._squeezed()]

    def _inner_filters(self, place: int, argument: str, **options: Any) -> list[InnerChannels]:
        """Those that the convolution at a place makes, and the next reads."""
        readers = [getattr(self, f"conv{place + 1}")]
        return inner_filters([self._stage(place)], self.activation, readers, argument, **options)

    def _stage(self, place: int) -> tuple[keras.layers.Layer, keras.layers.Layer | None]:
        """A convolution and the normalization that follows it."""
        norm = f"norm{place + (self.norm_placement == 'pre')}"
        return getattr(self, f"conv{place}"), getattr(self, norm, None)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "norm_placement": self.norm_placement,
            "shortcut": self.shortcut,
            "zero_init_residual": self.zero_init_residual,
        }
