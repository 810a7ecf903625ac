"""Long short-term memory whose gates see the cell state, as a cell for `keras.layers.RNN`."""

from typing import Any

from keras import constraints, initializers, ops, regularizers

from keras_arch.core.initializer import cloned
from keras_arch.core.registration import register
from keras_arch.layers.recurrent.dropout_masks import drop_for_the_sequence
from keras_arch.layers.recurrent.tied_dropout import TiedDropoutLSTMCell
from keras_arch.ops.layer_norm import Tensor
from keras_arch.ops.lstm import peephole_lstm_step


@register
class PeepholeLSTMCell(TiedDropoutLSTMCell):
    """LSTM cell whose gates see the cell state through weights of their own, "peepholes".

    [z_i, z_f, z_g, z_o] = x W + h U + b
    i = σ(z_i + p_i c),  f = σ(z_f + p_f c)
    c' = f c + i φ(z_g)
    o = σ(z_o + p_o c'),  h' = o φ(c')

    x: inputs (B, D), h and c: states (B, N), W: `kernel` (D, 4 N), U: `recurrent_kernel` (N, 4 N), b: `bias` (4 N,),
    p_i, p_f, p_o: `input_peephole`, `forget_peephole`, `output_peephole` (N,), each unit seeing its own c only,
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
        peephole_initializer: for p. Zeros start as the LSTM of Keras.
        peephole_regularizer: for p.
        peephole_constraint: for p.
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.
    Raises:
        ValueError: for units < 1 or a dropout outside [0, 1).
    Source: Gers, Schraudolph and Schmidhuber 2002, "Learning precise timing with LSTM recurrent networks", JMLR 3. The
    gradient runs through the peepholes, where the paper cuts it. TensorFlow Addons' PeepholeLSTMCell has the same
    formula and weight shapes; it draws the peepholes from the kernel's initializer.

    >>> layer = keras.layers.RNN(PeepholeLSTMCell(4), return_sequences=True)
    >>> tuple(layer(np.ones((2, 5, 3))).shape)
    (2, 5, 4)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        peephole_initializer: Any = "zeros",
        peephole_regularizer: Any = None,
        peephole_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **kwargs,
        )
        self.peephole_initializer = initializers.get(peephole_initializer)
        self.peephole_regularizer = regularizers.get(peephole_regularizer)
        self.peephole_constraint = constraints.get(peephole_constraint)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the products' weights and the peepholes."""
        super().build(input_shape)
        self.input_peephole, self.forget_peephole, self.output_peephole = (
            self.add_weight(
                (self.units,),
                cloned(self.peephole_initializer),  # one object would draw the same values three times
                name=f"{gate}_peephole",
                autocast=False,  # they meet c in float32
                regularizer=self.peephole_regularizer,
                constraint=self.peephole_constraint,
            )
            for gate in ("input", "forget", "output")
        )

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
        gates = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel)  # (B, 4 N)
        if self.bias is not None:
            gates = gates + self.bias
        peepholes = self.input_peephole, self.forget_peephole, self.output_peephole
        h, c = peephole_lstm_step(gates, c, peepholes, self.activation, self.recurrent_activation)
        h, c = ops.cast(h, self.compute_dtype), ops.cast(c, self.compute_dtype)
        return h, [h, c]

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        return {
            **super().get_config(),
            "peephole_initializer": initializers.serialize(self.peephole_initializer),
            "peephole_regularizer": regularizers.serialize(self.peephole_regularizer),
            "peephole_constraint": constraints.serialize(self.peephole_constraint),
        }
