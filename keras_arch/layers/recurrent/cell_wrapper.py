"""What cells that hold another cell have in common."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.layers.recurrent import dropout_masks

Tensor = Any


class CellWrapper(keras.layers.Layer, dropout_masks.DropoutMasks):
    """A cell around a cell: serialises it, builds it, and draws and clears its dropout masks with its own.

    Args:
        cell: a `keras.layers.Layer` with `state_size`, such as `keras.layers.LSTMCell` or
            `keras.layers.StackedRNNCells`.
        **kwargs: of `keras.layers.Layer`; without `dtype` the wrapper takes that of the cell.
    Raises:
        ValueError: if `cell` is no such layer.
    """

    def __init__(self, cell: keras.layers.Layer, **kwargs: Any) -> None:
        if not isinstance(cell, keras.layers.Layer) or not hasattr(cell, "state_size"):
            advice = "Pass a cell such as keras.layers.LSTMCell(units), not a layer that runs over sequences."
            raise check.refuse("cell", "must be a Keras layer with a state_size", cell, advice)
        super().__init__(**{"dtype": cell.dtype_policy, **kwargs})
        self.cell = cell

    @property
    def output_size(self) -> int:
        """The size of the cell's output."""
        return dropout_masks.output_size(self.cell)

    def build(self, inputs_shape: tuple) -> None:
        if not self.cell.built:
            self.cell.build(inputs_shape)

    def step(self, inputs: Tensor, states: list[Any]) -> tuple[Tensor, list[Any]]:
        """One step of the wrapped cell, in training where the wrapper is, with states as they were given."""
        output, after = self.cell(inputs, states)
        # Stacked cells unwrap the list of a single cell's states.
        return output, keras.tree.pack_sequence_as(states, keras.tree.flatten(after))

    def cell_inputs(self, inputs: Tensor) -> Tensor:
        """What the wrapped cell gets in the first step, as far as its shape."""
        return inputs

    def get_dropout_mask(self, inputs: Tensor) -> None:
        """Draw the masks of the wrapped cell: `keras.layers.RNN` calls this before its loop."""
        dropout_masks.draw_masks(self.cell, self.cell_inputs(inputs))

    def get_recurrent_dropout_mask(self, state: Tensor) -> None:
        """Leave it to `get_dropout_mask`, which draws those of the wrapped cell as well and knows its states."""
        del state

    def reset_dropout_mask(self) -> None:
        """Clear the masks of the wrapped cell: `keras.layers.RNN` calls this after its loop."""
        dropout_masks.clear_masks(self.cell)

    reset_recurrent_dropout_mask = reset_dropout_mask

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "CellWrapper":
        cell = keras.saving.deserialize_keras_object(config.pop("cell"), custom_objects=custom_objects)
        return cls(cell, **config)
