"""Dropout masks that a sequence keeps: `keras.layers.RNN` draws them before its loop and clears them after it."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check

Tensor = Any


def _keras_mixin() -> type:
    """The class by which `keras.layers.RNN` knows cells with masks to draw and clear.

    Keras 3.15 exports it only as a base of its own cells.
    """
    return next(base for base in keras.layers.SimpleRNNCell.__mro__ if "get_dropout_mask" in vars(base))


DropoutMasks = _keras_mixin()


def rate(argument: str, value: Any) -> float:
    """A fraction to drop, or a ValueError that names the argument."""
    return check.real(argument, value, minimum=0, maximum=1, open_maximum=True)


def drop_for_the_sequence(cell: Any, inputs: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Multiply inputs and h by the masks of the sequence; drawing masks inside the loop would change them every step.

    Args:
        cell: with `dropout` and `recurrent_dropout`, rates, and the methods of `DropoutMasks`.
        inputs: shape (B, D).
        h: shape (B, N).
    """
    if cell.dropout:
        inputs = inputs * cell.get_dropout_mask(inputs)
    if cell.recurrent_dropout:
        h = h * cell.get_recurrent_dropout_mask(h)
    return inputs, h


def draw_masks(cell: Any, inputs: Tensor) -> None:
    """Draw the masks of a cell, and of all cells in it, for sequences whose first step is `inputs`.

    `keras.layers.RNN` does it for the cell that it holds, and does not look into cells that wrap others.

    Args:
        cell: any cell; one without masks is left alone.
        inputs: shape (B, D).
    """
    batch = ops.shape(inputs)[0]
    if isinstance(cell, keras.layers.StackedRNNCells):
        for each in cell.cells:
            draw_masks(each, inputs)
            inputs = ops.zeros((batch, output_size(each)), cell.compute_dtype)
    elif isinstance(cell, DropoutMasks):
        cell.get_dropout_mask(inputs)
        cell.get_recurrent_dropout_mask(keras.tree.flatten(initial_states(cell, batch))[0])


def clear_masks(cell: Any) -> None:
    """Forget the masks of a cell and of all cells in it."""
    if isinstance(cell, keras.layers.StackedRNNCells):
        for each in cell.cells:
            clear_masks(each)
    elif isinstance(cell, DropoutMasks):
        cell.reset_dropout_mask()
        cell.reset_recurrent_dropout_mask()


def state_sizes(cell: Any) -> list[Any]:
    """`state_size` as a list: one entry a state."""
    return list(cell.state_size) if isinstance(cell.state_size, list | tuple) else [cell.state_size]


def output_size(cell: Any) -> int:
    """`output_size`, or without it the size of the first state."""
    size = getattr(cell, "output_size", None)
    return keras.tree.flatten(cell.state_size)[0] if size is None else size


def initial_states(cell: Any, batch_size: Any) -> list[Any]:
    """The cell's own initial states, or zeros, always as a list."""
    if hasattr(cell, "get_initial_state"):
        states = cell.get_initial_state(batch_size=batch_size)
        return list(states) if isinstance(states, list | tuple) else [states]
    return [ops.zeros((batch_size, size), cell.compute_dtype) for size in state_sizes(cell)]
