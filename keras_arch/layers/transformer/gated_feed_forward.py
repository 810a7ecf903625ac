"""The feed-forward network of a transformer with a gate: SwiGLU, GEGLU, ReGLU."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.initializer import cloned
from keras_arch.core.inner_channels import InnerChannels, between
from keras_arch.core.registration import register


@register
class GatedFeedForward(keras.layers.Layer):
    """Two projections of which one gates the other, and a third that brings the product back.

    output = (act(x W_gate) * (x W_value)) W_out.   x: (..., D), W_gate and W_value: (D, F), W_out: (F, D).
    D: features, F: `intermediate_dim`.

    SwiGLU is activation="silu", GEGLU "gelu", ReGLU "relu", the GLU of 2016 "sigmoid", the bilinear form None. For as
    many weights as a two-layer network of 4 D features, take F = 8 D / 3. Like the paper it has no biases unless asked.
    The three projections are `keras.layers.Dense`, held as `gate_dense`, `value_dense` and `output_dense`, so LoRA and
    `model.quantize` reach them. A mask passes through.

    Args:
        intermediate_dim: F, features of the product, >= 1.
        activation: act; anything `keras.activations.get` takes.
        dropout: rate at which entries of the product are dropped in training, in [0, 1).
        use_bias: whether the three projections have biases.
        output_dim: features of the output; None for D.
        kernel_initializer: of the three projections.
        bias_initializer: likewise.
        kernel_regularizer: likewise.
        bias_regularizer: likewise.
        seed: of the dropout.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, ..., D), of any rank from 2.
        training: whether dropout acts.

    Returns:
        (B, ..., D), or `output_dim` in place of D.

    Raises:
        ValueError: for an argument out of range, or an input without features of known size.

    Source: Shazeer 2020, arXiv:2002.05202, equation 6.

    >>> layer = ka.layers.GatedFeedForward(intermediate_dim=16, activation="gelu")
    >>> tuple(layer(np.ones((2, 3, 8))).shape), layer.count_params()
    ((2, 3, 8), 384)
    """

    def __init__(
        self,
        intermediate_dim: int,
        activation: Any = "silu",
        dropout: float = 0.0,
        use_bias: bool = False,
        output_dim: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        seed: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.intermediate_dim = check.integer("intermediate_dim", intermediate_dim)
        self.activation = keras.activations.get(activation)
        self.dropout = check.real("dropout", dropout, minimum=0.0, maximum=1.0, open_maximum=True)
        self.use_bias = bool(use_bias)
        self.output_dim = None if output_dim is None else check.integer("output_dim", output_dim)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.seed = seed
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        if len(input_shape) < 2 or input_shape[-1] is None:
            advice = "Pass (batch, ..., features)."
            raise check.refuse(
                "inputs", "must have a batch axis and features of known size", tuple(input_shape), advice
            )
        inner = (*input_shape[:-1], self.intermediate_dim)
        self.gate_dense = self._dense("gate", self.intermediate_dim, self.activation, input_shape)
        self.value_dense = self._dense("value", self.intermediate_dim, None, input_shape)
        self.output_dense = self._dense("output", self.output_dim or input_shape[-1], None, inner)
        self.drop = keras.layers.Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy, name="drop")
        self.drop.build(inner)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        product = self.gate_dense(inputs) * self.value_dense(inputs)  # (B, ..., F)
        return self.output_dense(self.drop(product, training=training))

    def inner_channels(self) -> list[InnerChannels]:
        """The features of the product, for pruning."""
        return between([[self.value_dense], [self.gate_dense]], self.output_dense, "intermediate_dim")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.output_dim or input_shape[-1])

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "output_dim": self.output_dim,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "seed": self.seed,
        }

    def _dense(self, name: str, units: int, activation: Any, shape: tuple) -> keras.layers.Dense:
        layer = keras.layers.Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            kernel_initializer=cloned(self.kernel_initializer),
            bias_initializer=cloned(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(shape)
        return layer
