"""A wide depthwise convolution and a pointwise network, with one normalization and a residual connection."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.initializer import cloned
from keras_arch.core.inner_channels import InnerChannels, between
from keras_arch.core.registration import register
from keras_arch.layers.convolutional.channels import as_data_format, known_channels
from keras_arch.layers.normalization.global_response_normalization import GlobalResponseNormalization
from keras_arch.layers.transformer.layer_scale import LayerScale
from keras_arch.layers.transformer.stochastic_depth import StochasticDepth


@register
class ConvNeXtBlock(keras.layers.Layer):
    """7 x 7 depthwise convolution, layer normalization, two pointwise layers, added to the input.

    output = x + layer_scale(project_dense(respond(activation(expand_dense(norm(depthwise_conv(x))))))).
    x and output: (B, H, W, C), expand_dense: C -> E, project_dense: E -> C.   C: channels, E: `hidden_filters`.

    respond is the identity in ConvNeXt and a `keras_arch.layers.GlobalResponseNormalization` in ConvNeXt V2, which has
    no layer scale: global_response=True, layer_scale=None. Stochastic depth acts before the sum. The layers are
    `depthwise_conv`, `norm`, `expand_dense`, `project_dense` of Keras and `response`, `scale`, `drop_branch` of ours. A
    mask does not travel on.

    Args:
        kernel_size: of the depthwise convolution, pixels.
        expansion: E / C, >= 1, an integer; not used where `hidden_filters` is given.
        activation: anything `keras.activations.get` takes; the default is the exact GELU.
        layer_scale: first value of the weight of each channel; None for no such weight.
        stochastic_depth: rate at which the branch is dropped for a sample in training, in [0, 1).
        global_response: whether the wide channels pass through a global response normalization.
        epsilon: added to the variance in the layer normalization.
        kernel_initializer: of the convolution and the two pointwise layers; None for a truncated normal distribution
            of deviation 0.02, as in the paper.
        kernel_regularizer: likewise.
        data_format: "channels_last" or "channels_first" (the pointwise part then runs between two transpositions);
            None for `keras.config.image_data_format()`.
        seed: of stochastic depth.
        hidden_filters: E; None for expansion C.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, H, W, C), or (B, C, H, W) for "channels_first"; H and W may be None.
        training: whether stochastic depth acts.

    Returns:
        Tensor of the shape of the input.

    Raises:
        ValueError: for an argument out of range, or an input of other rank or of unknown channels.

    Source: Liu et al. 2022, arXiv:2201.03545, figure 4; global response: Woo et al. 2023, arXiv:2301.00808.

    >>> block = ka.layers.ConvNeXtBlock(global_response=True, layer_scale=None)
    >>> tuple(block(np.ones((2, 6, 5, 4), "float32")).shape)
    (2, 6, 5, 4)
    """

    def __init__(
        self,
        kernel_size: int = 7,
        expansion: int = 4,
        activation: Any = "gelu",
        layer_scale: float | None = 1e-6,
        stochastic_depth: float = 0.0,
        global_response: bool = False,
        epsilon: float = 1e-6,
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        data_format: str | None = None,
        seed: int | None = None,
        hidden_filters: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = check.integer("kernel_size", kernel_size)
        self.expansion = check.integer("expansion", expansion)
        self.activation = keras.activations.get(activation)
        self.layer_scale = None
        if layer_scale is not None:
            self.layer_scale = check.real("layer_scale", layer_scale, minimum=-3e38, maximum=3e38)
        self.stochastic_depth = check.real(
            "stochastic_depth", stochastic_depth, minimum=0, maximum=1, open_maximum=True
        )
        self.global_response = bool(global_response)
        self.epsilon = check.real("epsilon", epsilon, minimum=0, maximum=1, open_minimum=True)
        if kernel_initializer is None:
            kernel_initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.data_format = as_data_format(data_format)
        self.seed = seed
        self.hidden_filters = None if hidden_filters is None else check.integer("hidden_filters", hidden_filters)

    def build(self, input_shape: tuple) -> None:
        channels = known_channels(input_shape, self.data_format, most_rank=4)
        shape = tuple(input_shape)
        common = {"dtype": self.dtype_policy}
        self.depthwise_conv = keras.layers.DepthwiseConv2D(
            self.kernel_size,
            padding="same",
            depthwise_initializer=cloned(self.kernel_initializer),
            depthwise_regularizer=self.kernel_regularizer,
            data_format=self.data_format,
            name="depthwise_conv",
            **common,
        )
        self.depthwise_conv.build(shape)
        if self.data_format == "channels_first":
            shape = (shape[0], *shape[2:], channels)
        wide = (*shape[:-1], self.hidden_filters or self.expansion * channels)
        self.norm = keras.layers.LayerNormalization(epsilon=self.epsilon, name="norm", **common)
        self.norm.build(shape)
        self.expand_dense = self._dense("expand_dense", wide[-1], self.activation, shape)
        if self.global_response:
            self.response = GlobalResponseNormalization(name="response", **common)
            self.response.build(wide)
        self.project_dense = self._dense("project_dense", channels, None, wide)
        if self.layer_scale is not None:
            self.scale = LayerScale(self.layer_scale, name="scale", **common)
            self.scale.build(shape)
        if self.stochastic_depth:
            self.drop_branch = StochasticDepth(self.stochastic_depth, seed=self.seed, name="drop_branch", **common)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        first = self.data_format == "channels_first"
        x = self.depthwise_conv(inputs)
        x = ops.transpose(x, (0, 2, 3, 1)) if first else x  # (B, H, W, C)
        x = self.expand_dense(self.norm(x))  # (B, H, W, E)
        x = self.project_dense(self.response(x) if self.global_response else x)  # (B, H, W, C)
        x = x if self.layer_scale is None else self.scale(x)
        x = ops.transpose(x, (0, 3, 1, 2)) if first else x  # (B, C, H, W)
        return inputs + (self.drop_branch(x, training=training) if self.stochastic_depth else x)

    def inner_channels(self) -> list[InnerChannels]:
        """The channels between the pointwise layers, for pruning. None where a response mixes them."""
        if self.global_response:
            return []
        return between([[self.expand_dense]], self.project_dense, "hidden_filters")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        plain = ("kernel_size", "expansion", "layer_scale", "stochastic_depth", "global_response", "epsilon")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in (*plain, "data_format", "seed", "hidden_filters")},
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }

    def _dense(self, name: str, units: int, activation: Any, shape: tuple) -> keras.layers.Dense:
        layer = keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=cloned(self.kernel_initializer),
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(shape)
        return layer
