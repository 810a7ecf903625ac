"""What the convolutional blocks share: their options, how their layers are made, and their config."""

import dataclasses
from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.initializer import cloned
from keras_arch.core.inner_channels import InnerChannels, between
from keras_arch.layers.convolutional.channels import as_data_format, known_channels
from keras_arch.layers.convolutional.layer_template import as_normalization
from keras_arch.layers.convolutional.squeeze_excite import SqueezeExcite, bottleneck_width
from keras_arch.layers.transformer.stochastic_depth import StochasticDepth

PADDINGS = ("same", "symmetric")


class ConvolutionalBlock(keras.layers.Layer):
    """Base of the blocks of two-dimensional convolutions: holds the options, makes and runs the layers.

    A subclass says which layers there are and how they follow one another. All of them are layers of Keras, held as
    attributes under their own names.
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
        hidden_filters: int | None = None,
        squeeze_width: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = check.integer("filters", filters)
        self.kernel_size = check.integer("kernel_size", kernel_size)
        self.strides = check.integer("strides", strides)
        self.dilation_rate = check.integer("dilation_rate", dilation_rate)
        if self.strides > 1 and self.dilation_rate > 1:
            advice = "Dilate in place of striding: strides=1."
            raise check.refuse("dilation_rate", "must be 1 where strides are above 1", dilation_rate, advice)
        self.activation = keras.activations.get(activation)
        self.normalization = as_normalization(normalization)
        self.normalization_name = normalization if isinstance(normalization, str) else None
        self.squeeze_excite = squeeze_excite
        if squeeze_excite is not None and not isinstance(squeeze_excite, keras.layers.Layer):
            self.squeeze_excite = check.real("squeeze_excite", squeeze_excite, minimum=0, maximum=1, open_minimum=True)
        self.squeeze_width = None if squeeze_width is None else check.integer("squeeze_width", squeeze_width)
        if squeeze_width is not None and not isinstance(self.squeeze_excite, float):
            advice = "Leave it out, or give squeeze_excite as a fraction."
            raise check.refuse("squeeze_width", "needs squeeze_excite as a number", squeeze_width, advice)
        self.stochastic_depth = check.real(
            "stochastic_depth", stochastic_depth, minimum=0, maximum=1, open_maximum=True
        )
        self.use_bias = bool(use_bias)
        self.padding = check.one_of("padding", padding, PADDINGS)
        if self.padding == "symmetric" and self.kernel_size % 2 == 0:
            advice = 'Use an odd kernel_size, or padding="same".'
            raise check.refuse("padding", "needs a kernel with a middle to be symmetric", padding, advice)
        if kernel_initializer is None:
            kernel_initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.data_format = as_data_format(data_format)
        self.seed = seed
        self.hidden_filters = None if hidden_filters is None else check.integer("hidden_filters", hidden_filters)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, *sizes = input_shape
        sizes = sizes[:-1] if self.data_format == "channels_last" else sizes[1:]
        sizes = [None if size is None else -(-size // self.strides) for size in sizes]
        return (batch, *sizes, self.filters) if self.data_format == "channels_last" else (batch, self.filters, *sizes)

    def get_config(self) -> dict:
        save = keras.saving.serialize_keras_object
        plain = ("filters", "kernel_size", "strides", "dilation_rate", "stochastic_depth", "use_bias", "padding")
        given = self.normalization_name or (self.normalization and self.normalization.serialized)
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in plain},
            "activation": keras.activations.serialize(self.activation),
            "normalization": given,
            "squeeze_excite": save(self.squeeze_excite),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "data_format": self.data_format,
            "seed": self.seed,
            "hidden_filters": self.hidden_filters,
            "squeeze_width": self.squeeze_width,
        }

    @classmethod
    def from_config(cls, config: dict) -> "ConvolutionalBlock":
        revived = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("normalization", "squeeze_excite")
            if isinstance(config.get(name), dict)
        }
        return super().from_config({**config, **revived})

    def _channels(self, shape: tuple) -> int:
        return known_channels(shape, self.data_format, most_rank=4)

    def _build_convolution(
        self,
        name: str,
        shape: tuple,
        filters: int | None,
        kernel_size: int = 1,
        strides: int = 1,
        dilation_rate: int = 1,
        groups: int = 1,
    ) -> tuple:
        """Make a convolution, depthwise where `filters` is None; returns the shape of what it gives."""
        common = {
            "strides": strides,
            "padding": "same",
            "dilation_rate": dilation_rate,
            "use_bias": self.use_bias,
            "data_format": self.data_format,
            "dtype": self.dtype_policy,
            "name": name,
        }
        if self.padding == "symmetric" and strides > 1 and kernel_size > 1:
            pad = keras.layers.ZeroPadding2D(
                kernel_size // 2, data_format=self.data_format, dtype=self.dtype_policy, name=f"{name}_pad"
            )
            setattr(self, f"{name}_pad", pad)
            shape, common["padding"] = pad.compute_output_shape(shape), "valid"
        initializer, regularizer = cloned(self.kernel_initializer), self.kernel_regularizer
        if filters is None:
            layer = keras.layers.DepthwiseConv2D(
                kernel_size, depthwise_initializer=initializer, depthwise_regularizer=regularizer, **common
            )
        else:
            layer = keras.layers.Conv2D(
                filters,
                kernel_size,
                groups=groups,
                kernel_initializer=initializer,
                kernel_regularizer=regularizer,
                **common,
            )
        layer.build(shape)
        setattr(self, name, layer)
        return layer.compute_output_shape(shape)

    def _convolve(self, name: str, x: Any) -> Any:
        if hasattr(self, f"{name}_pad"):
            x = getattr(self, f"{name}_pad")(x)
        return getattr(self, name)(x)

    def _build_normalization(self, name: str, shape: tuple, *, starts_at_zero: bool = False) -> None:
        """Make a normalization after the template; with a gamma of 0 for a branch that starts as nothing."""
        if self.normalization is None:
            return
        config = self.normalization.config
        changes = {"name": name, "dtype": self.dtype_policy}
        if config.get("axis") in (-1, [-1]):  # the default of Keras's layers; here it stands for the channels
            changes["axis"] = -1 if self.data_format == "channels_last" else 1
        if starts_at_zero:
            changes["gamma_initializer"] = "zeros"
        layer = self.normalization.make(**changes)
        layer.build(shape)
        setattr(self, name, layer)

    def _normalize(self, name: str, x: Any) -> Any:
        # `training` reaches it by Keras's call context: not every normalization takes it.
        return x if self.normalization is None else getattr(self, name)(x)

    def _build_excitation(self, shape: tuple, reference: int) -> None:
        """Make squeeze and excitation; a ratio counts from `reference` channels."""
        if isinstance(self.squeeze_excite, keras.layers.Layer):
            output = self.squeeze_excite(keras.KerasTensor(shape, dtype=self.compute_dtype))
            if tuple(output.shape)[1:] != tuple(shape)[1:]:
                advice = f"It makes {tuple(output.shape)} of {tuple(shape)}."
                raise check.refuse("squeeze_excite", "must keep the shape of its input", self.squeeze_excite, advice)
        elif self.squeeze_excite is not None:
            self.excitation = SqueezeExcite(
                width=self.squeeze_width or bottleneck_width(reference, self.squeeze_excite),
                activation=self.activation,
                kernel_initializer=cloned(self.kernel_initializer),
                kernel_regularizer=self.kernel_regularizer,
                data_format=self.data_format,
                dtype=self.dtype_policy,
                name="excitation",
            )
            self.excitation.build(shape)

    def _excite(self, x: Any) -> Any:
        if self.squeeze_excite is None:
            return x
        given = isinstance(self.squeeze_excite, keras.layers.Layer)
        return keras.ops.cast((self.squeeze_excite if given else self.excitation)(x), self.compute_dtype)

    def _squeezed(self) -> list[InnerChannels]:
        """The units inside squeeze and excitation."""
        if isinstance(self.squeeze_excite, float):
            dense = self.excitation.squeeze_dense
            return between([[dense]], self.excitation.excite_dense, "squeeze_width")
        if type(self.squeeze_excite) is not SqueezeExcite:
            return []
        config = {"squeeze_excite.ratio": None, "squeeze_excite.divisor": 1}
        inner = self.squeeze_excite.inner_channels()
        return [dataclasses.replace(units, argument="squeeze_excite.width", config=config) for units in inner]

    def _build_stochastic_depth(self) -> None:
        if self.stochastic_depth:
            self.drop_branch = StochasticDepth(
                self.stochastic_depth, seed=self.seed, dtype=self.dtype_policy, name="drop_branch"
            )

    def _drop(self, x: Any, training: bool | None) -> Any:
        return self.drop_branch(x, training=training) if self.stochastic_depth else x
