"""Gated recurrent units with layer normalization, as a cell for `keras.layers.RNN`."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.layers.recurrent.dropout_masks import drop_for_the_sequence, rate
from keras_arch.layers.recurrent.norm_weights import NormWeights
from keras_arch.ops.gru import layer_norm_gru_step
from keras_arch.ops.layer_norm import Tensor


@register
class LayerNormGRUCell(NormWeights, keras.layers.GRUCell):
    """GRU cell that normalizes what enters its gates and its candidate.

    [z, r] = σ(norm_1(x W_zr) + b_zr + norm_2(h U_zr) + d_zr)
    n = φ(norm_3(x W_n) + b_n + r (norm_4(h U_n) + d_n))    if reset_after
    n = φ(norm_3(x W_n) + b_n + norm_4((r h) U_n))          otherwise
    h' = z h + (1 − z) n

    x: inputs (B, D), h: state (B, N), W: `kernel` (D, 3 N), U: `recurrent_kernel` (N, 3 N), in the order z, r, n,
    b and d: `bias`, (2, 3 N) if reset_after, else b (3 N,) alone, φ: `activation`, σ: `recurrent_activation`; norm_1
    and norm_2 run over the 2 N gate entries of a row, norm_3 and norm_4 over its N candidate entries, each with a gain
    and a shift of its own. B: batch size, D: features, N: units.

    The cell takes all arguments of `keras.layers.GRUCell`; masks, `stateful`, `go_backwards`, `return_state`,
    `unroll` and dynamic lengths are those of the `keras.layers.RNN` around it. Products run in the layer's compute
    dtype, everything after them in float32, and the results are cast back.

    Dropout: one mask for the inputs and one for h are drawn for each sequence and kept for all its steps and all
    gates (Gal and Ghahramani 2016, arXiv:1512.05287, tied weights); see `LayerNormLSTMCell`.

    Args:
        units: N, >= 1.
        activation: φ, a Keras activation. None is the identity.
        recurrent_activation: σ, a Keras activation. None is the identity.
        use_bias: whether to add b and d. The shifts of the norms stay.
        kernel_initializer: for W.
        recurrent_initializer: for U.
        bias_initializer: for b and d.
        kernel_regularizer: for W.
        recurrent_regularizer: for U.
        bias_regularizer: for b and d.
        kernel_constraint: for W.
        recurrent_constraint: for U.
        bias_constraint: for b and d.
        dropout: fraction of the inputs to drop in training, in [0, 1).
        recurrent_dropout: fraction of h to drop in training, in [0, 1).
        reset_after: whether r scales the product with U_n, or h before it.
        seed: int for the dropout masks, or None.
        norm_gamma_initializer: for the gains.
        norm_beta_initializer: for the shifts.
        norm_epsilon: added to each variance, > 0.
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.
    Raises:
        ValueError: for units < 1, a dropout outside [0, 1) or an epsilon that is not positive.
    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450, supplementary material: the formula of reset_after. The paper
    writes 1 − z for z; the order of the gates, the sense of z and the biases here are those of `keras.layers.GRUCell`,
    whose weights fit. Statistics are float32 under mixed precision.

    >>> layer = keras.layers.RNN(LayerNormGRUCell(4), return_sequences=True)
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
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        norm_gamma_initializer: Any = "ones",
        norm_beta_initializer: Any = "zeros",
        norm_epsilon: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            check.integer("units", units),
            activation=activation,
            recurrent_activation=recurrent_activation,
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
            reset_after=reset_after,
            seed=seed,
            **kwargs,
        )
        # Set after the parent's constructor, which turns to a mask per gate when it sees a rate here.
        self.recurrent_dropout = rate("recurrent_dropout", recurrent_dropout)
        self._take_norm_arguments(norm_gamma_initializer, norm_beta_initializer, norm_epsilon)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the products' weights and the gains and shifts of the norms."""
        super().build(input_shape)
        self.norms = tuple(
            self._add_norm(f"{product}_{part}_norm", size)
            for part, size in (("gates", 2 * self.units), ("candidate", self.units))
            for product in ("kernel", "recurrent")
        )

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
        seen = h
        if training:
            inputs, seen = drop_for_the_sequence(self, inputs, h)
        biases = (None, None)
        if self.bias is not None:
            biases = ops.unstack(ops.convert_to_tensor(self.bias)) if self.reset_after else (self.bias, None)
        h = layer_norm_gru_step(
            ops.matmul(inputs, self.kernel),  # (B, 3 N)
            h,
            seen,
            ops.convert_to_tensor(self.recurrent_kernel),
            biases,
            self.norms,
            self.norm_epsilon,
            self.activation,
            self.recurrent_activation,
            self.reset_after,
        )
        h = ops.cast(h, self.compute_dtype)
        return h, [h]
