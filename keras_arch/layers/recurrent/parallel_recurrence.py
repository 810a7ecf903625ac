"""What recurrent layers share that run a whole sequence at once: states, masks, directions."""

from typing import Any

import keras
from keras import ops

Tensor = Any


class ParallelRecurrence(keras.layers.Layer):
    """A recurrent layer without a product per step, with the manners of `keras.layers.RNN`.

    Subclasses give `state_sizes` and `recur`. Where the mask is False a step changes no state and repeats the output
    before it (zeros at the start). `keras.layers.Bidirectional` takes such a layer.   B: batch, T: steps, D: features.

    Args:
        units: features of the output.
        return_sequences: whether to return the outputs of all steps and not only the last.
        return_state: whether to return the last states too.
        go_backwards: whether to run from the last step to the first; outputs come in the order they are computed.
        stateful: whether a call starts from the states that the call before ended with; needs a known batch size.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(
        self,
        units: int,
        return_sequences: bool,
        return_state: bool,
        go_backwards: bool,
        stateful: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.stateful = bool(stateful)
        self.supports_masking = True
        self.states: list = []

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Features of each state."""
        raise NotImplementedError(f"{type(self).__name__} must say the sizes of its states.")

    def recur(self, inputs: Tensor, states: list[Tensor], mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """All outputs (T, B, units) and the last states, from inputs (T, B, D) and a mask (T, B) or None."""
        raise NotImplementedError(f"{type(self).__name__} must say how it recurs.")

    def build(self, inputs_shape: tuple[int | None, ...], initial_state_shape: Any = None) -> None:
        """Create the states that outlive a call."""
        if len(inputs_shape) != 3 or inputs_shape[2] is None:
            raise ValueError(
                f"inputs must have the shape (batch, steps, features) with known features; received a shape of "
                f"{tuple(inputs_shape)}. Reshape what comes before, for example by keras.layers.Reshape."
            )
        if self.stateful and not self.states:
            if inputs_shape[0] is None:
                raise ValueError(
                    "stateful=True needs a known batch size; received an input of the shape "
                    f"{tuple(inputs_shape)}. Give it by keras.Input(batch_shape=(batch, steps, features))."
                )
            self.states = [
                self.add_weight((inputs_shape[0], size), "zeros", trainable=False, name=f"state_{number}")
                for number, size in enumerate(self.state_sizes)
            ]

    def call(self, inputs: Tensor, initial_state: Any = None, mask: Tensor = None) -> Any:
        """Run the sequence.

        Args:
            inputs: (B, T, D).
            initial_state: one tensor (B, N) a state, alone or in a list; None for zeros, or for the states of the last
                call where `stateful`.
            mask: bool (B, T), True where a step counts, or None.
        Returns:
            (B, T, units) or, without `return_sequences`, (B, units); with `return_state` a list of that and the states.
        """
        states = self._first_states(inputs, initial_state)
        inputs = ops.swapaxes(inputs, 0, 1)  # time first: steps then are cut out and put together without copies
        mask = None if mask is None else ops.swapaxes(mask, 0, 1)
        if self.go_backwards:
            inputs = ops.flip(inputs, axis=0)
            mask = None if mask is None else ops.flip(mask, axis=0)
        outputs, states = self.recur(inputs, states, mask)
        states = [ops.cast(state, self.compute_dtype) for state in states]
        if self.stateful:
            for variable, state in zip(self.states, states, strict=True):
                variable.assign(ops.cast(state, variable.dtype))
        outputs = ops.swapaxes(outputs, 0, 1) if self.return_sequences else outputs[-1]
        outputs = ops.cast(outputs, self.compute_dtype)
        return [outputs, *states] if self.return_state else outputs

    def _first_states(self, inputs: Tensor, given: Any) -> list[Tensor]:
        if given is None and self.stateful:
            return list(self.states)
        if given is None:
            return [ops.zeros((ops.shape(inputs)[0], size), self.compute_dtype) for size in self.state_sizes]
        given = list(given) if isinstance(given, list | tuple) else [given]
        sizes = [state.shape[-1] for state in given]
        if sizes != list(self.state_sizes):
            raise ValueError(
                f"initial_state must hold {len(self.state_sizes)} states with {list(self.state_sizes)} features; "
                f"received states with {sizes} features. Take those that return_state=True gives."
            )
        return given

    def reset_state(self) -> None:
        """Let the next call of a stateful layer start from zeros."""
        for state in self.states:
            state.assign(ops.zeros(state.shape, state.dtype))

    def compute_output_shape(self, inputs_shape: tuple, initial_state_shape: Any = None) -> Any:
        """Shapes of what `call` returns."""
        batch, length, _ = inputs_shape
        outputs = (batch, length, self.units) if self.return_sequences else (batch, self.units)
        return [outputs, *((batch, size) for size in self.state_sizes)] if self.return_state else outputs

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> Any:
        """The mask goes on with the outputs of all steps."""
        mask = previous_mask[0] if isinstance(previous_mask, list | tuple) else previous_mask
        mask = mask if self.return_sequences else None
        if mask is not None and self.go_backwards:
            mask = ops.flip(mask, axis=1)
        return [mask, *(None for _ in self.state_sizes)] if self.return_state else mask

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        return {
            **super().get_config(),
            "units": self.units,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
        }
