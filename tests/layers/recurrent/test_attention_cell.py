"""The attending cell stepped by hand, as a decoder does."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.memory_cells import attention, simple_cell

from keras_arch.core.masking import with_mask
from keras_arch.layers import AttentionCell
from keras_arch.layers.recurrent.attention_cell import SCORES

pytestmark = pytest.mark.backend

FEATURES, WIDTH, UNITS, MEMORY = 2, 3, 4, 5


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def made(rng, score, **arguments):
    """A cell around a simple one, with random weights, and these for the oracle."""
    inner = keras.layers.SimpleRNNCell(WIDTH)
    cell = AttentionCell(inner, UNITS, score, **arguments)
    cell(np.zeros((1, FEATURES), "float32"), cell.initial_states(np.zeros((1, 2, MEMORY), "float32")))
    for weight in cell.weights:
        weight.assign(rng.normal(size=weight.shape))
    weights = {"memory": numpy(cell.memory_layer.kernel), "attention": numpy(cell.attention_layer.kernel)}
    if "bahdanau" in score:
        weights |= {"query": numpy(cell.query_layer.kernel), "direction": numpy(cell.direction)[:, 0]}
    if cell.gain is not None:
        weights["gain"] = numpy(cell.gain)
    if cell.shift is not None:
        weights["shift"] = numpy(cell.shift)
    return cell, simple_cell(*map(numpy, inner.weights)), weights


@pytest.fixture
def case(rng):
    """x (B, T, D), a memory (B, S, M), a mask of it and the first h."""
    x = rng.normal(size=(2, 3, FEATURES)).astype("float32")
    memory = rng.normal(size=(2, 4, MEMORY)).astype("float32")
    visible = np.array([[True, True, True, True], [True, False, True, False]])
    return x, memory, visible, rng.normal(size=(2, WIDTH)).astype("float32")


def decode(cell, x, states):
    outputs, alignments = [], []
    for t in range(x.shape[1]):
        output, states = cell(ops.convert_to_tensor(x[:, t]), states)
        outputs.append(numpy(output))
        alignments.append(numpy(states[-1]))
    return np.stack(outputs, axis=1), states, np.stack(alignments, axis=1)


@pytest.mark.parametrize("score", SCORES)
def test_steps_equal_the_loop(rng, case, score):
    x, memory, visible, h = case
    cell, step, weights = made(rng, score)
    states = cell.initial_states(memory, ops.convert_to_tensor(visible), [ops.convert_to_tensor(h)])
    got, after, alignments = decode(cell, x, states)
    expected, last, shown = attention(x, memory, step, [[row] for row in h], weights, score, visible=visible)
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(alignments, shown, rtol=2e-4, atol=1e-5)
    for state, wanted in zip(after[:2], last, strict=True):
        np.testing.assert_allclose(numpy(state), wanted, rtol=2e-4, atol=1e-5)
    assert len({a is b for a, b in zip(states[2:5], after[2:5], strict=True)}) == 1


def test_without_input_feeding_and_with_another_activation(rng, case):
    x, memory, _, _ = case
    cell, step, weights = made(
        rng, "bahdanau", key_units=2, input_feeding=False, attention_activation=None, kernel_initializer="he_normal"
    )
    got, _, _ = decode(cell, x, cell.initial_states(memory))
    zeros = [[np.zeros(WIDTH)]] * 2
    expected, *_ = attention(x, memory, step, zeros, weights, "bahdanau", feed=False, activation=lambda v: v)
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-5)
    assert weights["memory"].shape == (MEMORY, 2)


def test_the_mask_that_travels_with_the_memory_hides_too(rng, case):
    x, memory, visible, _ = case
    cell, _, _ = made(rng, "luong")
    explicit, _, _ = decode(cell, x, cell.initial_states(memory, ops.convert_to_tensor(visible)))
    travelling = with_mask(ops.convert_to_tensor(memory), ops.convert_to_tensor(visible))
    got, _, alignments = decode(cell, x, cell.initial_states(travelling))
    np.testing.assert_array_equal(got, explicit)
    assert (alignments[1][:, ~visible[1]] == 0).all()


def test_gains_start_at_their_values(rng):
    cell, _, _ = made(rng, "luong")
    assert cell.gain is None
    assert cell.shift is None
    for score, first in (("scaled_luong", 1.0), ("normed_bahdanau", 3**-0.5)):
        cell = AttentionCell(keras.layers.SimpleRNNCell(WIDTH), UNITS, score)
        cell(np.zeros((1, 2), "float32"), cell.initial_states(np.zeros((1, 2, 5), "float32")))
        assert float(numpy(cell.gain)) == pytest.approx(first)


def test_an_initializer_may_be_a_function():
    cell = AttentionCell(
        keras.layers.GRUCell(3), 2, kernel_initializer=lambda shape, dtype=None: ops.ones(shape, dtype)
    )
    cell.memory_layer.build((None, 4, 5))
    assert ops.convert_to_numpy(cell.memory_layer.kernel).min() == 1


def test_arguments_survive_the_config():
    cell = AttentionCell(keras.layers.GRUCell(3), 4, "bahdanau", 2, "relu", False, "he_normal", name="looks")
    again = AttentionCell.from_config(cell.get_config())
    assert again.get_config() == cell.get_config()
    assert (again.cell.units, again.key_units, again.output_size) == (3, 2, 4)
    assert cell.memory_layer.kernel_initializer.seed != cell.attention_layer.kernel_initializer.seed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be an integer >= 1"),
        ({"score": "dot"}, "score must be one of 'bahdanau', 'luong', 'normed_bahdanau', 'scaled_luong'"),
        ({"key_units": 7}, "key_units must be 3, the size of the cell's output, for the scores of Luong"),
        ({"score": "bahdanau", "key_units": 0}, "key_units must be an integer >= 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttentionCell(keras.layers.GRUCell(3), **{"units": 2, **arguments})


def test_a_missing_memory_is_named():
    with pytest.raises(ValueError, match=r"states must hold a memory .*AttentionRNN"):
        keras.layers.RNN(AttentionCell(keras.layers.GRUCell(3), 2))(np.ones((1, 2, 3), "float32"))
    with pytest.raises(ValueError, match="memory must have three axes"):
        AttentionCell(keras.layers.GRUCell(3), 2).initial_states(np.ones((2, 3), "float32"))
