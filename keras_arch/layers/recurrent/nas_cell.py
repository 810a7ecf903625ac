"""The recurrent cell that neural architecture search found, for `keras.layers.RNN`."""

from typing import Any

import keras
from keras import initializers, ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.layers.recurrent.dropout_masks import drop_for_the_sequence, rate
from keras_arch.ops.nas import nas_step

Tensor = Any


@register
class NASCell(keras.layers.SimpleRNNCell):
    """Recurrent cell of eight gates that neural architecture search found on language.

    a_k = (x W)_k + (h U + b)_k for the gates k = 0 .. 7, except a_3 = (x W)_3 (h U + b)_3
    g = tanh(tanh(σ(a_0) relu(a_1)) + c)
    c' = g tanh(σ(a_2) + relu(a_3))
    m = tanh(c' tanh(tanh(tanh(a_4) σ(a_5)) + σ(tanh(a_6) + σ(a_7))))
    h' = m P, or m without a projection

    x: inputs (B, D), h: state (B, M), c: state (B, N), W: `kernel` (D, 8 N), U: `recurrent_kernel` (M, 8 N),
    b: `bias` (8 N,), P: `projection_kernel` (N, M). B: batch size, D: features, N: units, M: N or `projection`.

    Masks, `stateful`, `go_backwards`, `return_state`, `unroll` and dynamic lengths are those of the
    `keras.layers.RNN` around it. Products run in the layer's compute dtype, everything between them in float32.
    Dropout: one mask for the inputs and one for h are drawn for each sequence and kept for all its steps and gates.

    Args:
        units: N, >= 1.
        projection: M, >= 1, the size of outputs and h; None for no projection.
        use_bias: whether there is b.
        kernel_initializer: for W.
        recurrent_initializer: for U.
        projection_initializer: for P.
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
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.
    Raises:
        ValueError: for units or a projection < 1, a dropout outside [0, 1), or an `activation`.
    Source: Zoph and Le 2017, arXiv:1611.01578, figure 8. Formula, defaults, gate order and weight shapes are those of
    TensorFlow Addons' NASCell, which adds b to h U, so that it reaches the product a_3; the states are h, c here and
    c, h there.

    >>> layer = keras.layers.RNN(NASCell(4, projection=2), return_sequences=True)
    >>> tuple(layer(np.ones((2, 5, 3))).shape)
    (2, 5, 2)
    """

    def __init__(
        self,
        units: int,
        projection: int | None = None,
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "glorot_uniform",
        projection_initializer: Any = "glorot_uniform",
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
        **kwargs: Any,
    ) -> None:
        if "activation" in kwargs:
            rule = "must be left out: a NAS cell's eight activations are fixed"
            raise check.refuse("activation", rule, kwargs["activation"], "Use keras.layers.LSTMCell to choose one.")
        super().__init__(
            check.integer("units", units),
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
        self.projection = None if projection is None else check.integer("projection", projection)
        self.projection_initializer = initializers.get(projection_initializer)
        self.output_size = self.units if self.projection is None else self.projection
        self.state_size = [self.output_size, self.units]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create W, U, b and P."""
        self.kernel = self.add_weight(
            (input_shape[-1], 8 * self.units),
            self.kernel_initializer,
            name="kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            (self.output_size, 8 * self.units),
            self.recurrent_initializer,
            name="recurrent_kernel",
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (8 * self.units,),
                self.bias_initializer,
                name="bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        if self.projection is not None:
            self.projection_kernel = self.add_weight(
                (self.units, self.projection), self.projection_initializer, name="projection_kernel"
            )

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """One step.

        Args:
            inputs: shape (B, D).
            states: h, shape (B, M), and c, shape (B, N).
            training: whether to drop.
        Returns:
            h' and [h', c'].
        """
        h, c = states
        if training:
            inputs, h = drop_for_the_sequence(self, inputs, h)
        from_state = ops.matmul(h, self.recurrent_kernel)  # (B, 8 N)
        if self.bias is not None:
            from_state = from_state + self.bias
        h, c = nas_step(ops.matmul(inputs, self.kernel), from_state, c)
        h, c = ops.cast(h, self.compute_dtype), ops.cast(c, self.compute_dtype)
        if self.projection is not None:
            h = ops.matmul(h, self.projection_kernel)  # (B, M)
        return h, [h, c]

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """Zeros."""
        return [ops.zeros((batch_size, size), self.compute_dtype) for size in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        config = super().get_config()
        del config["activation"]
        return {
            **config,
            "projection": self.projection,
            "projection_initializer": initializers.serialize(self.projection_initializer),
        }
