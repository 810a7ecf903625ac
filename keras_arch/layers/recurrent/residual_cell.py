"""A cell whose output is added to its input."""

from typing import Any

from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.layers.recurrent import dropout_masks
from keras_arch.layers.recurrent.cell_wrapper import CellWrapper

Tensor = Any


@register
class ResidualCell(CellWrapper):
    """Cell that adds its input to the output of the cell in it, so that deep stacks of cells stay trainable.

    y, s' = cell(x, s);  output = x + y

    x: inputs (B, N), y: the cell's output (B, N), s: its states. B: batch size, N: units.

    Masks, `stateful`, `go_backwards`, `return_state` and `unroll` are those of the `keras.layers.RNN` around it. The
    states are the output, then those of the cell: Keras's loop on JAX repeats the first state where the mask is False.

    Args:
        cell: a cell whose output is as wide as its input, such as a `keras.layers.LSTMCell`.
        **kwargs: of `keras.layers.Layer`, such as `name`; `dtype` is that of the cell if it is not given.
    Raises:
        ValueError: if `cell` is no cell; at the first call, if output and input differ in width.
    Source: Wu et al. 2016, arXiv:1609.08144, section 3.1. As there, nothing follows the sum.

    >>> cell = ResidualCell(keras.layers.LSTMCell(3))
    >>> tuple(keras.layers.RNN([keras.layers.LSTMCell(3), cell])(np.ones((2, 5, 4))).shape)
    (2, 3)
    """

    @property
    def state_size(self) -> list[Any]:
        """The output's size, then those of the cell's states."""
        return [self.output_size, *dropout_masks.state_sizes(self.cell)]

    def build(self, inputs_shape: tuple) -> None:
        """Create the weights of the cell."""
        if inputs_shape[-1] != self.output_size:
            rule = f"must have as many features as the cell has outputs, {self.output_size}, to be added to them"
            advice = f"Project them by keras.layers.Dense({self.output_size}) first, or change the cell's units."
            raise check.refuse("inputs", rule, tuple(inputs_shape), advice)
        super().build(inputs_shape)

    def call(self, inputs: Tensor, states: list[Any], training: bool = False) -> tuple[Tensor, list[Any]]:
        """One step.

        Args:
            inputs: x, shape (B, N).
            states: the last output (B, N), then the states of the cell.
            training: whether the cell drops.
        Returns:
            x + y and the new states.
        """
        output, after = self.step(inputs, states[1:])
        output = output + inputs
        return output, [output, *after]

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros for the output, and the initial states of the cell."""
        output = ops.zeros((batch_size, self.output_size), self.compute_dtype)
        return [output, *dropout_masks.initial_states(self.cell, batch_size)]
