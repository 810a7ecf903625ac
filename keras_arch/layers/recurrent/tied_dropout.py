"""One dropout mask for all gates, for cells derived from Keras's LSTM cell."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.layers.recurrent.dropout_masks import rate


class TiedDropoutLSTMCell(keras.layers.LSTMCell):
    """Keras's LSTM cell with checked arguments and one mask for its four gates, to derive other cells from.

    Keras's cell draws a mask per gate once `recurrent_dropout` is set, at four times the products.
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
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=rate("dropout", dropout),
            seed=seed,
            **kwargs,
        )
        # Set after the parent's constructor, which turns to a mask per gate when it sees a rate here.
        self.recurrent_dropout = rate("recurrent_dropout", recurrent_dropout)
