"""Checks of recurrent cells: what `keras.layers.RNN` and its wrappers rely on."""

import json
import pathlib
from typing import Any

import keras
import numpy as np

from keras_arch.testing.layer.check import Mismatch, check
from keras_arch.testing.layer.compare import assert_close, to_numpy
from keras_arch.testing.layer.construction import assert_same_layer
from keras_arch.testing.layer.subject import Case, Subject


class CellSubject(Subject):
    """A recurrent cell inside `keras.layers.RNN(cell, return_sequences=True)`.

    Args:
        cell: the case of the cell alone.
        directory, name: as for `Subject`.
    """

    def __init__(self, cell: Case, directory: pathlib.Path, name: str) -> None:
        self.cell = Subject(cell, directory, name)
        case = Case(
            keras.layers.RNN,
            lambda: {"cell": self.cell.make(), "return_sequences": True},
            cell.input_shape,
            input_dtype=cell.input_dtype,
            input_data=cell.input_data,
            expect=cell.expect,
        )
        super().__init__(case, directory, name)

    def recurrent(self, **options: Any) -> keras.layers.RNN:
        """An RNN over a new cell with the weights of the reference."""
        layer = keras.layers.RNN(self.cell.make(), **{"return_sequences": True, **options})
        self.compute(layer)
        layer.set_weights(self.reference.get_weights())
        if layer.stateful:
            layer.reset_state()
        return layer

    def states(self, batch: int) -> list:
        """Initial states of the reference's cell: its own, or zeros of state_size."""
        cell = self.reference.cell
        if hasattr(cell, "get_initial_state"):
            return keras.tree.flatten(cell.get_initial_state(batch_size=batch))
        return [keras.ops.zeros((batch, *shape)) for shape in state_shapes(cell)]


def state_shapes(cell: keras.Layer) -> list[tuple[int, ...]]:
    """Shapes of the states of one sample, from `state_size`: an int, or a list of ints or of shapes."""
    sizes = cell.state_size if isinstance(cell.state_size, list | tuple) else [cell.state_size]
    return [tuple(size) if isinstance(size, list | tuple) else (int(size),) for size in sizes]


@check("state_size, output_size and get_initial_state were not kept in step with `call`, or a state changes its dtype.")
def cell_states_agree(subject: CellSubject) -> str:
    """A step gives an output of `output_size` and states like the initial ones, which have `state_size`."""
    cell, x = subject.reference.cell, subject.inputs
    expected = [(x.shape[0], *shape) for shape in state_shapes(cell)]
    initial = subject.states(x.shape[0])
    if [tuple(state.shape) for state in initial] != expected:
        raise Mismatch(
            f"initial states have shapes {[tuple(s.shape) for s in initial]}, state_size asks for {expected}."
        )
    output, after = cell(keras.ops.convert_to_tensor(x[:, 0]), initial)
    after = keras.tree.flatten(after)
    for what in ("shape", "dtype"):
        before, now = ([str(getattr(state, what)) for state in states] for states in (initial, after))
        if before != now:
            raise Mismatch(f"a step turns states of {what} {before} into {now}.")
    size = getattr(cell, "output_size", None)
    if size is not None and output.shape[-1] != size:
        raise Mismatch(f"a step gives {output.shape[-1]} features, output_size is {size}.")
    return f"states {expected}"


@check("The cell keeps something between steps outside its states.", tolerance=1e-6)
def steps_equal_rnn(subject: CellSubject, tolerance: float) -> None:
    """Calling the cell step by step gives the outputs of `keras.layers.RNN`."""
    cell, x = subject.reference.cell, subject.inputs
    states, outputs = subject.states(x.shape[0]), []
    for t in range(x.shape[1]):
        output, states = cell(keras.ops.convert_to_tensor(x[:, t]), states)
        states = keras.tree.flatten(states)
        outputs.append(to_numpy(output))
    assert_close(np.stack(outputs, axis=1), subject.outputs, tolerance, "the cell called step by step against RNN")


@check("The cell branches on the step or on Python state, which a loop traces once.", tolerance=1e-6)
def unrolling_equals_looping(subject: CellSubject, tolerance: float) -> None:
    """`RNN(cell, unroll=True)` gives what the loop gives."""
    got = subject.compute(subject.recurrent(unroll=True), training=False)
    assert_close(got, subject.outputs, tolerance, "unroll=True against unroll=False")


@check("The states that a step returns are not those it was given where the mask is False.", tolerance=1e-6)
def masked_steps_keep_states(subject: CellSubject, tolerance: float) -> None:
    """Steps that the mask leaves out, in the middle too, change no state: the final states are those without them."""
    x, layer = subject.inputs, subject.recurrent(return_state=True)
    keep = (np.arange(x.shape[1]) + np.arange(x.shape[0])[:, None]) % 3 != 1  # (B, T)
    _, *states = keras.tree.flatten(subject.compute(layer, mask=keras.ops.convert_to_tensor(keep), training=False))
    for row in range(x.shape[0]):
        kept = x[row : row + 1, keep[row]]
        _, *alone = keras.tree.flatten(subject.compute(layer, kept, training=False))
        here = [state[row : row + 1] for state in states]
        assert_close(
            here, alone, tolerance, f"final states of sample {row} with masked steps against without these steps"
        )


@check(
    "A state has a shape that depends on the batch, or get_initial_state does not make one for every state.",
    tolerance=1e-6,
)
def stateful_halves_equal_whole(subject: CellSubject, tolerance: float) -> None:
    """`RNN(cell, stateful=True)` called on two halves of a sequence gives what one call on the whole gives."""
    x, layer = subject.inputs, subject.recurrent(stateful=True)
    half = x.shape[1] // 2
    parts = [subject.compute(layer, part, training=False) for part in (x[:, :half], x[:, half:])]
    got = np.concatenate(parts, axis=1)
    assert_close(got, subject.outputs, tolerance, "stateful=True on two halves against the whole sequence")


@check(
    "The cell is not registered (Bidirectional goes through the config), or its config misses something.",
    tolerance=1e-6,
)
def bidirectional_agrees(subject: CellSubject, tolerance: float) -> None:
    """`Bidirectional` runs the cell both ways and survives being serialised."""
    x = subject.inputs
    both = keras.layers.Bidirectional(keras.layers.RNN(subject.cell.make(), return_sequences=True), merge_mode=None)
    forward, backward = subject.compute(both, training=False)
    for given, got, wrapped in ((x, forward, both.forward_layer), (x[:, ::-1], backward[:, ::-1], both.backward_layer)):
        alone = subject.recurrent()
        alone.set_weights(wrapped.get_weights())
        wanted = subject.compute(alone, np.ascontiguousarray(given), training=False)
        assert_close(got, wanted, tolerance, "one direction of Bidirectional against RNN alone")
    text = json.dumps(keras.saving.serialize_keras_object(both))
    fresh = keras.saving.deserialize_keras_object(json.loads(text))
    subject.compute(fresh)
    assert_same_layer(both, fresh, "by serialising Bidirectional")


@check("`build` or state_size depends on more than the features of the input.", tolerance=1e-6)
def stacked_cells_equal_chained(subject: CellSubject, tolerance: float) -> None:
    """`RNN([cell, cell])` gives what one RNN after the other gives."""
    cells = [subject.cell.make(), subject.cell.make()]
    wanted = subject.inputs
    got = subject.compute(keras.layers.RNN(cells, return_sequences=True), training=False)
    for cell in cells:
        wanted = subject.compute(keras.layers.RNN(cell, return_sequences=True), wanted, training=False)
    assert_close(got, wanted, tolerance, "stacked cells against one RNN after the other")


CELLS = (
    cell_states_agree,
    steps_equal_rnn,
    unrolling_equals_looping,
    masked_steps_keep_states,
    stateful_halves_equal_whole,
    bidirectional_agrees,
    stacked_cells_equal_chained,
)
