"""The products of minimal gated units: a `keras.layers.Dense` for each gate and for the candidate."""

from typing import Any

import keras
from keras import constraints, initializers, ops, regularizers

from keras_arch.core import check
from keras_arch.core.initializer import cloned
from keras_arch.layers.recurrent.parallel_recurrence import ParallelRecurrence

Tensor = Any


class GatedParallelRecurrence(ParallelRecurrence):
    """A minimal gated unit: gates and a candidate that see the inputs alone, each by a `keras.layers.Dense`.

    Args:
        units: N, >= 1, features of the state and of the output.
        gates: names of the gates.
        activation: of the candidate, a Keras activation; None is the identity.
        use_bias: whether the products have biases.
        kernel_initializer: for all kernels.
        bias_initializer: for the candidate's bias.
        gate_bias_initializer: for the gates' biases.
        kernel_regularizer: for all kernels.
        bias_regularizer: for all biases.
        kernel_constraint: for all kernels.
        bias_constraint: for all biases.
        **kwargs: of `ParallelRecurrence`.
    """

    def __init__(
        self,
        units: int,
        gates: tuple[str, ...],
        *,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        gate_bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(check.integer("units", units), **kwargs)
        self.activation = keras.activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.gate_bias_initializer = initializers.get(gate_bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.gates = [self._dense(name, self.gate_bias_initializer) for name in gates]
        self.candidate = self._dense("candidate", self.bias_initializer, self.activation)

    def _dense(self, name: str, bias_initializer: Any, activation: Any = None) -> keras.layers.Dense:
        return keras.layers.Dense(
            self.units,
            activation,
            use_bias=self.use_bias,
            kernel_initializer=cloned(self.kernel_initializer),
            bias_initializer=cloned(bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name=name,
        )

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """One state of N features."""
        return (self.units,)

    def build(self, inputs_shape: tuple[int | None, ...], initial_state_shape: Any = None) -> None:
        """Create the kernels and biases."""
        super().build(inputs_shape)
        for dense in (*self.gates, self.candidate):
            dense.build(inputs_shape)

    def products(self, inputs: Tensor) -> list[Tensor]:
        """What the gates' products, and last the candidate's, make of inputs (T, B, D): (T, B, N) each.

        They see rows (T B, D): a product of matrices is fused with the addition of its bias, one of more axes is not.
        """
        rows = ops.reshape(inputs, (-1, inputs.shape[-1]))
        shape = (*ops.shape(inputs)[:2], self.units)
        return [ops.reshape(dense(rows), shape) for dense in (*self.gates, self.candidate)]

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        return {
            **super().get_config(),
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "gate_bias_initializer": initializers.serialize(self.gate_bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }
