"""Recurrent cell whose units hear only their own past, for `keras.layers.RNN`."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.layers.recurrent.dropout_masks import drop_for_the_sequence, rate

Tensor = Any


@register
class IndRNNCell(keras.layers.SimpleRNNCell):
    """Recurrent cell whose units are independent of each other in time; layers stacked on it mix them.

    h' = φ(x W + u ⊙ h + b)

    x: inputs (B, D), h: state (B, N), W: `kernel` (D, N), u: `recurrent_kernel` (N,), b: `bias` (N,), φ: `activation`.
    B: batch size, D: features, N: units. ⊙ is entry by entry, so a step has one product of matrices.

    A gradient through T steps has a factor u_n^T: `recurrent_max_abs` bounds |u_n| when u is created and after each
    step of the optimizer. With relu, 1 keeps any length from exploding, and γ ** (1 / T) lets gradients grow by γ over
    T steps; with a saturating φ the bound can be looser.

    Masks, `stateful`, `go_backwards`, `return_state`, `unroll` and dynamic lengths are those of the
    `keras.layers.RNN` around it. Dropout: one mask for the inputs and one for h are drawn for each sequence and kept
    for all its steps.

    Args:
        units: N, >= 1.
        activation: φ, a Keras activation. None is the identity.
        use_bias: whether there is b.
        kernel_initializer: for W.
        recurrent_initializer: for u; what it draws is cut to the bound. None is uniform from 0 to the bound, or to 1
            without a bound: units of every memory length.
        bias_initializer: for b.
        recurrent_max_abs: bound of |u|, > 0, or None for none.
        kernel_regularizer: for W.
        recurrent_regularizer: for u.
        bias_regularizer: for b.
        kernel_constraint: for W.
        recurrent_constraint: for u, applied before the bound.
        bias_constraint: for b.
        dropout: fraction of the inputs to drop in training, in [0, 1).
        recurrent_dropout: fraction of h to drop in training, in [0, 1).
        seed: int for the dropout masks, or None.
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.
    Raises:
        ValueError: for units < 1, a bound that is not positive, or a dropout outside [0, 1).
    Source: Li et al. 2018, arXiv:1803.04831, equation 3 and section 3.2.

    >>> cell = IndRNNCell(4, recurrent_max_abs=2 ** (1 / 5))
    >>> tuple(keras.layers.RNN([cell, IndRNNCell(3)])(np.ones((2, 5, 3))).shape)
    (2, 3)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "relu",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = None,
        bias_initializer: Any = "zeros",
        recurrent_max_abs: float | None = 1.0,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
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
        if recurrent_max_abs is not None:
            recurrent_max_abs = check.real(
                "recurrent_max_abs",
                recurrent_max_abs,
                minimum=0,
                maximum=float("inf"),
                open_minimum=True,
                open_maximum=True,
            )
        self.recurrent_max_abs = recurrent_max_abs

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create W, u and b."""
        self.kernel = self.add_weight(
            (input_shape[-1], self.units),
            self.kernel_initializer,
            name="kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        bound = self.recurrent_max_abs
        draw = self.recurrent_initializer or keras.initializers.RandomUniform(0.0, 1.0 if bound is None else bound)
        self.recurrent_kernel = self.add_weight(
            (self.units,),
            draw if bound is None else lambda shape, dtype: ops.clip(draw(shape, dtype), -bound, bound),
            name="recurrent_kernel",
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint if bound is None else _Bound(bound, self.recurrent_constraint),
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                name="bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
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
        if training:
            inputs, h = drop_for_the_sequence(self, inputs, h)
        h = ops.matmul(inputs, self.kernel) + self.recurrent_kernel * h  # (B, N)
        if self.bias is not None:
            h = h + self.bias
        h = self.activation(h)
        return h, [h]

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        return {**super().get_config(), "recurrent_max_abs": self.recurrent_max_abs}


class _Bound(keras.constraints.Constraint):
    """Another constraint, if any, then |w| <= bound. Made by the cell from its arguments, so never serialised."""

    def __init__(self, bound: float, first: Any) -> None:
        self.bound, self.first = bound, first

    def __call__(self, w: Tensor) -> Tensor:
        w = w if self.first is None else self.first(w)
        return ops.clip(w, -self.bound, self.bound)
