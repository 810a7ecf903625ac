"""Long short-term memory with layer normalization, as a cell for `keras.layers.RNN`."""

from typing import Any

from keras import ops

from keras_arch.core.registration import register
from keras_arch.layers.recurrent.dropout_masks import drop_for_the_sequence
from keras_arch.layers.recurrent.norm_weights import NormWeights
from keras_arch.layers.recurrent.tied_dropout import TiedDropoutLSTMCell
from keras_arch.ops.layer_norm import Tensor
from keras_arch.ops.lstm import layer_norm_lstm_step


@register
class LayerNormLSTMCell(NormWeights, TiedDropoutLSTMCell):
    """LSTM cell that normalizes what enters its gates and its cell state.

    [i, f, g, o] = norm_1(x W) + norm_2(h U) + b
    c' = norm_3(σ(f) c + σ(i) φ(g)),  h' = σ(o) φ(c')

    x: inputs (B, D), h and c: states (B, N), W: `kernel` (D, 4 N), U: `recurrent_kernel` (N, 4 N), b: `bias` (4 N,),
    φ: `activation`, σ: `recurrent_activation`; norm_1 and norm_2 run over all 4 N gate entries of a row, norm_3 over
    its N units, each with a gain and a shift of its own. B: batch size, D: features, N: units.

    The cell takes all arguments of `keras.layers.LSTMCell`; masks, `stateful`, `go_backwards`, `return_state`,
    `unroll` and dynamic lengths are those of the `keras.layers.RNN` around it. Products run in the layer's compute
    dtype, everything after them in float32, and the results are cast back.

    Dropout: one mask for the inputs and one for h are drawn for each sequence and kept for all its steps and all four
    gates (Gal and Ghahramani 2016, arXiv:1512.05287, tied weights). `keras.layers.LSTMCell` draws a mask per gate
    once `recurrent_dropout` is set, at four times the products. A cell that is stepped by hand keeps its masks until
    `reset_dropout_mask()` and `reset_recurrent_dropout_mask()`, as Keras's cells do; `keras.layers.RNN` calls them.

    Args:
        units: N, >= 1.
        activation: φ, a Keras activation. None is the identity.
        recurrent_activation: σ, a Keras activation. None is the identity.
        use_bias: whether to add b. The shifts of norm_1 and norm_2 stay.
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
        norm_gamma_initializer: for the three gains.
        norm_beta_initializer: for the three shifts.
        norm_epsilon: added to each variance, > 0.
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.
    Raises:
        ValueError: for units < 1, a dropout outside [0, 1) or an epsilon that is not positive.
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, equations 20 to 22. The paper carries c' on unnormalized and
    normalizes only what h' sees. This cell carries norm_3's result on, as TensorFlow Addons' LayerNormLSTMCell does,
    whose formula, defaults and weight shapes it keeps; it differs from Addons in float32 statistics under mixed
    precision, in checked arguments and in Keras 3's seeds.

    >>> layer = keras.layers.RNN(LayerNormLSTMCell(4), return_sequences=True)
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
        norm_gamma_initializer: Any = "ones",
        norm_beta_initializer: Any = "zeros",
        norm_epsilon: float = 1e-3,
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
        self._take_norm_arguments(norm_gamma_initializer, norm_beta_initializer, norm_epsilon)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the products' weights and the gain and shift of each norm."""
        super().build(input_shape)
        self.kernel_norm = self._add_norm("kernel_norm", 4 * self.units)
        self.recurrent_norm = self._add_norm("recurrent_norm", 4 * self.units)
        self.state_norm = self._add_norm("state_norm", self.units)

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
        h, c = layer_norm_lstm_step(
            ops.matmul(inputs, self.kernel),  # (B, 4 N)
            ops.matmul(h, self.recurrent_kernel),  # (B, 4 N)
            c,
            self.bias,
            (self.kernel_norm, self.recurrent_norm, self.state_norm),
            self.norm_epsilon,
            self.activation,
            self.recurrent_activation,
        )
        h, c = ops.cast(h, self.compute_dtype), ops.cast(c, self.compute_dtype)
        return h, [h, c]
