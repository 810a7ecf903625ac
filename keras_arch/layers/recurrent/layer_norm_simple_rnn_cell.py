"""The plain recurrent unit with layer normalization, as a cell for `keras.layers.RNN`."""

from typing import Any

import keras
from keras import initializers, ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.layers.recurrent.dropout_masks import drop_for_the_sequence, rate
from keras_arch.layers.recurrent.norm_weights import positive_epsilon
from keras_arch.ops.layer_norm import Tensor, scaled


@register
class LayerNormSimpleRNNCell(keras.layers.SimpleRNNCell):
    """Plain recurrent cell that normalizes what enters its activation.

    h' = φ(gamma (v − mean(v)) / sqrt(var(v) + epsilon) + b),  v = x W + h U, statistics over the N units of a row

    x: inputs (B, D), h: state (B, N), W: `kernel` (D, N), U: `recurrent_kernel` (N, N), b: `bias` (N,), the shift of
    the norm, gamma: `norm_gamma` (N,), φ: `activation`. B: batch size, D: features, N: units.

    The cell takes all arguments of `keras.layers.SimpleRNNCell`; masks, `stateful`, `go_backwards`, `return_state`,
    `unroll` and dynamic lengths are those of the `keras.layers.RNN` around it. Products run in the layer's compute
    dtype, everything after them in float32, and the results are cast back.

    Dropout: one mask for the inputs and one for h are drawn for each sequence and kept for all its steps, as in
    `keras.layers.SimpleRNNCell`.

    Args:
        units: N, >= 1.
        activation: φ, a Keras activation. None is the identity.
        use_bias: whether to add b.
        kernel_initializer: for W.
        recurrent_initializer: for U.
        bias_initializer: for b.
        kernel_regularizer: for W.
        recurrent_regularizer: for U.
        bias_regularizer: for b.
        kernel_constraint: for W.
        recurrent_constraint: for U.
        bias_constraint: for b.
        dropout: fraction of the inputs to drop in training, in [0, 1).
        recurrent_dropout: fraction of h to drop in training, in [0, 1).
        seed: int for the dropout masks, or None.
        norm_gamma_initializer: for gamma.
        norm_epsilon: added to the variance, > 0.
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.
    Raises:
        ValueError: for units < 1, a dropout outside [0, 1) or an epsilon that is not positive.
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, equation 4. TensorFlow Addons' LayerNormSimpleRNNCell has the
    same formula, defaults and weight shapes; there the arguments are called gamma_initializer and layernorm_epsilon.

    >>> layer = keras.layers.RNN(LayerNormSimpleRNNCell(4), return_sequences=True)
    >>> tuple(layer(np.ones((2, 5, 3))).shape)
    (2, 5, 4)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        norm_gamma_initializer: Any = "ones",
        norm_epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            check.integer("units", units),
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=rate("dropout", dropout),
            recurrent_dropout=rate("recurrent_dropout", recurrent_dropout),
            seed=seed,
            **kwargs,
        )
        self.norm_gamma_initializer = initializers.get(norm_gamma_initializer)
        self.norm_epsilon = positive_epsilon(norm_epsilon)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the products' weights and the gain of the norm."""
        super().build(input_shape)
        # No autocast: a gain near 1 has only 8 bits in bfloat16.
        self.norm_gamma = self.add_weight((self.units,), self.norm_gamma_initializer, name="norm_gamma", autocast=False)

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """One step.

        Args:
            inputs: shape (B, D).
            states: [h], shape (B, N).
            training: whether to drop.
        Returns:
            h' and [h'].
        """
        (h,) = states
        if training:
            inputs, h = drop_for_the_sequence(self, inputs, h)
        product = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel)  # (B, N)
        normalized = scaled(product, self.norm_gamma, self.norm_epsilon)
        if self.bias is not None:
            normalized = normalized + ops.cast(self.bias, normalized.dtype)
        h = ops.cast(self.activation(normalized), self.compute_dtype)
        return h, [h]

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        return {
            **super().get_config(),
            "norm_gamma_initializer": initializers.serialize(self.norm_gamma_initializer),
            "norm_epsilon": self.norm_epsilon,
        }
