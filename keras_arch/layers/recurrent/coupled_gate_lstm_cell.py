"""Long short-term memory that forgets as much as it takes in, as a cell for `keras.layers.RNN`."""

from typing import Any

from keras import initializers, ops

from keras_arch.core.registration import register
from keras_arch.layers.recurrent.dropout_masks import drop_for_the_sequence
from keras_arch.layers.recurrent.tied_dropout import TiedDropoutLSTMCell
from keras_arch.ops.layer_norm import Tensor
from keras_arch.ops.lstm import coupled_gate_lstm_step


@register
class CoupledGateLSTMCell(TiedDropoutLSTMCell):
    """LSTM cell with one gate for what it takes in and what it forgets: three quarters of the weights.

    [z_f, z_g, z_o] = x W + h U + b
    c' = σ(z_f) c + (1 − σ(z_f)) φ(z_g),  h' = σ(z_o) φ(c')

    x: inputs (B, D), h and c: states (B, N), W: `kernel` (D, 3 N), U: `recurrent_kernel` (N, 3 N), b: `bias` (3 N,),
    φ: `activation`, σ: `recurrent_activation`. B: batch size, D: features, N: units.

    The cell takes all arguments of `keras.layers.LSTMCell`; masks, `stateful`, `go_backwards`, `return_state`,
    `unroll` and dynamic lengths are those of the `keras.layers.RNN` around it. Products run in the layer's compute
    dtype, everything after them in float32, and the results are cast back.

    Dropout: one mask for the inputs and one for h are drawn for each sequence and kept for all its steps and all
    gates (Gal and Ghahramani 2016, arXiv:1512.05287, tied weights); see `LayerNormLSTMCell`.

    Args:
        units: N, >= 1.
        activation: φ, a Keras activation. None is the identity.
        recurrent_activation: σ, a Keras activation. None is the identity.
        use_bias: whether to add b.
        kernel_initializer: for W.
        recurrent_initializer: for U.
        bias_initializer: for b.
        unit_forget_bias: whether the forget gate's part of b starts at 1.
        kernel_regularizer: for W.
        recurrent_regularizer: for U.
        bias_regularizer: for b.
        kernel_constraint: for W.
        recurrent_constraint: for U.
        bias_constraint: for b.
        dropout: fraction of the inputs to drop in training, in [0, 1).
        recurrent_dropout: fraction of h to drop in training, in [0, 1).
        seed: int for the dropout masks, or None.
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.
    Raises:
        ValueError: for units < 1 or a dropout outside [0, 1).
    Source: Greff, Srivastava, Koutník, Steunebrink and Schmidhuber 2017, "LSTM: A search space odyssey",
    arXiv:1503.04069, the variant CIFG, here without peepholes and with f as the gate that has weights.

    >>> layer = keras.layers.RNN(CoupledGateLSTMCell(4), return_sequences=True)
    >>> tuple(layer(np.ones((2, 5, 3))).shape)
    (2, 5, 4)
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the products' weights, those of three gates where the parent has four."""
        self.kernel = self.add_weight(
            (input_shape[-1], 3 * self.units),
            self.kernel_initializer,
            name="kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            (self.units, 3 * self.units),
            self.recurrent_initializer,
            name="recurrent_kernel",
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (3 * self.units,),
                self._initial_bias,
                name="bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.built = True

    def _initial_bias(self, shape: tuple[int, ...], *args: Any, **kwargs: Any) -> Tensor:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, *args, **kwargs)
        ones = initializers.Ones()((self.units,), *args, **kwargs)
        return ops.concatenate([ones, self.bias_initializer((2 * self.units,), *args, **kwargs)])

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """One step.

        Args:
            inputs: shape (B, D).
            states: [h, c], shape (B, N) each.
            training: whether to drop.
        Returns:
            h' and [h', c'].
        """
        h, c = states
        if training:
            inputs, h = drop_for_the_sequence(self, inputs, h)
        gates = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel)  # (B, 3 N)
        if self.bias is not None:
            gates = gates + self.bias
        h, c = coupled_gate_lstm_step(gates, c, self.activation, self.recurrent_activation)
        h, c = ops.cast(h, self.compute_dtype), ops.cast(c, self.compute_dtype)
        return h, [h, c]
