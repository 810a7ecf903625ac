"""When masks are drawn and cleared, in cells and in cells within cells."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import LayerNormGRUCell, LayerNormLSTMCell, LayerNormSimpleRNNCell
from keras_arch.layers.recurrent import dropout_masks

pytestmark = pytest.mark.backend


def test_keras_knows_cells_by_this_class():
    assert dropout_masks.DropoutMasks.__name__ == "DropoutRNNCell"
    calls = []

    class Cell(keras.layers.Layer, dropout_masks.DropoutMasks):
        state_size = output_size = 2

        def call(self, inputs, states):
            calls.append("step")
            return inputs, [inputs]

        def get_dropout_mask(self, inputs):
            calls.append(("draw", tuple(inputs.shape)))

        def get_recurrent_dropout_mask(self, state):
            calls.append(("draw recurrent", tuple(state.shape)))

        def reset_dropout_mask(self):
            calls.append("clear")

        def reset_recurrent_dropout_mask(self):
            calls.append("clear recurrent")

    keras.layers.RNN(Cell(), unroll=True)(np.ones((3, 2, 2), "float32"))
    draws = [("draw", (3, 2)), ("draw recurrent", (3, 2))]
    assert calls == [*draws, "step", "step", "clear", "clear recurrent"]


def test_masks_are_drawn_and_cleared_throughout_a_stack():
    cells = [
        keras.layers.SimpleRNNCell(2, dropout=0.5, recurrent_dropout=0.5, seed=0),
        keras.layers.GRUCell(4, dropout=0.5, seed=0),
    ]
    stack = keras.layers.StackedRNNCells(cells)

    def masks():
        return [cells[0].get_dropout_mask(ops.ones((5, 3))), cells[0].get_recurrent_dropout_mask(ops.ones((5, 2)))]

    dropout_masks.draw_masks(stack, ops.ones((5, 3)))
    first = masks()
    assert all(a is b for a, b in zip(first, masks(), strict=True)), "already drawn"
    assert tuple(keras.tree.flatten(cells[1].get_dropout_mask(None))[0].shape) == (5, 2)
    dropout_masks.clear_masks(stack)
    assert not any(a is b for a, b in zip(first, masks(), strict=True))


def test_inputs_and_h_are_multiplied_by_the_masks_of_the_sequence():
    cell = keras.layers.SimpleRNNCell(2, dropout=0.5, recurrent_dropout=0.5, seed=0)
    x, h = dropout_masks.drop_for_the_sequence(cell, ops.ones((8, 3)), 3 * ops.ones((8, 2)))
    again, _ = dropout_masks.drop_for_the_sequence(cell, ops.ones((8, 3)), 3 * ops.ones((8, 2)))
    assert set(np.unique(ops.convert_to_numpy(x))) == {0.0, 2.0}
    assert set(np.unique(ops.convert_to_numpy(h))) == {0.0, 6.0}
    np.testing.assert_array_equal(ops.convert_to_numpy(x), ops.convert_to_numpy(again))
    given = ops.ones((8, 3)), ops.ones((8, 2))
    kept = dropout_masks.drop_for_the_sequence(keras.layers.SimpleRNNCell(2), *given)
    assert all(a is b for a, b in zip(kept, given, strict=True))


@pytest.mark.parametrize("kind", [LayerNormGRUCell, LayerNormLSTMCell, LayerNormSimpleRNNCell])
def test_keras_draws_and_clears_the_masks_of_these_cells(kind):
    cell = kind(2, dropout=0.5, recurrent_dropout=0.5, seed=0)
    ones = ops.ones((4, 2))

    def drawn():
        return [ops.convert_to_numpy(v) for v in dropout_masks.drop_for_the_sequence(cell, ones, ones)]

    first = drawn()
    for mask, same in zip(first, drawn(), strict=True):
        assert set(np.unique(mask)) <= {0.0, 2.0}
        np.testing.assert_array_equal(mask, same)
    layer = keras.layers.RNN(cell, unroll=keras.backend.backend() == "jax")
    layer(np.ones((4, 3, 2), "float32"), training=True)  # starts from stale masks, then clears
    assert any((mask != other).any() for mask, other in zip(first, drawn(), strict=True))


class Plain(keras.layers.Layer):
    state_size = (2, 3)


def test_cells_without_output_size_or_initial_states():
    assert dropout_masks.output_size(Plain()) == 2
    assert dropout_masks.state_sizes(Plain()) == [2, 3]
    assert dropout_masks.state_sizes(keras.layers.GRUCell(4)) == [4]
    states = dropout_masks.initial_states(Plain(), 5)
    assert [tuple(state.shape) for state in states] == [(5, 2), (5, 3)]


def test_rates_are_checked():
    assert dropout_masks.rate("dropout", 0.25) == 0.25
    with pytest.raises(ValueError, match=r"dropout must be a number in \[0, 1\); received dropout=1"):
        dropout_masks.rate("dropout", 1)
