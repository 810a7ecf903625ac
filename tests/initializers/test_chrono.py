"""Chrono initialization: memories of all lengths up to the longest, measured in Keras's own layers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.initializers import Chrono
from keras_arch.layers import LayerNormLSTMCell

pytestmark = pytest.mark.backend

L = keras.layers


def half_lives(kept):
    """Steps until half of a state is left, from the states (T, N) of two steps in a row."""
    return -np.log(2) / np.log(kept[1] / kept[0])


def test_the_memories_of_an_lstm_last_between_one_step_and_the_longest_time():
    longest, units = 40, 64
    chrono = Chrono(longest, seed=0)
    layer = L.LSTM(
        units,
        activation="linear",
        kernel_initializer="zeros",
        recurrent_initializer="zeros",
        bias_initializer=chrono,
        unit_forget_bias=False,
        return_sequences=True,
    )
    start = [np.zeros((1, units), "float32"), np.ones((1, units), "float32")]
    states = ops.convert_to_numpy(layer(np.ones((1, 4, 1), "float32"), initial_state=start))[0]  # half the cell state
    lives = half_lives(states)
    assert lives.min() >= 1
    assert lives.max() <= longest
    assert (lives < longest / 4).any()
    assert (lives > longest / 2).any()


@pytest.mark.parametrize("reset_after", [False, True])
def test_the_update_gate_of_a_gru_keeps_its_state_as_long(reset_after):
    longest, units = 40, 64
    layer = L.GRU(
        units,
        kernel_initializer="zeros",
        recurrent_initializer="zeros",
        bias_initializer=Chrono(longest, gates="gru", seed=0),
        reset_after=reset_after,
        return_sequences=True,
    )
    start = np.ones((1, units), "float32")
    states = ops.convert_to_numpy(layer(np.ones((1, 4, 1), "float32"), initial_state=start))[0]
    lives = half_lives(states)
    assert 1 <= lives.min() < longest / 4
    assert longest / 2 < lives.max() <= longest


@pytest.mark.parametrize("longest", [3.5, 1000])
def test_time_scales_are_uniform(longest):
    units = 4000
    forget = ops.convert_to_numpy(Chrono(longest, seed=1)((4 * units,)))[units : 2 * units]
    times = np.sort(np.exp(forget))
    share = (times - 1) / (longest - 2)  # uniform in [0, 1]
    assert share.min() >= -1e-5
    assert share.max() <= 1 + 1e-5
    # Kolmogorov and Smirnov: 1.63 / sqrt(n) is passed by one sample in a hundred.
    assert np.abs(share - (np.arange(units) + 0.5) / units).max() < 1.63 / units**0.5


def test_gates_stand_where_keras_reads_them():
    lstm = ops.convert_to_numpy(Chrono(50, seed=1)((12,))).reshape(4, 3)
    assert (lstm[1] > 0).all()
    np.testing.assert_array_equal(lstm[[0, 2, 3]], [-lstm[1], np.zeros(3), np.zeros(3)])
    np.testing.assert_array_equal(ops.convert_to_numpy(Chrono(50, "gru", 1)((9,))), [*lstm[1], *np.zeros(6)])
    rows = ops.convert_to_numpy(Chrono(50, (-1, 0), 1)((2, 6)))
    np.testing.assert_array_equal(rows, [[*-lstm[1], 0, 0, 0], np.zeros(6)])


@pytest.mark.parametrize(
    "make",
    [
        lambda bias: L.LSTM(8, bias_initializer=bias),
        lambda bias: L.LSTM(3, bias_initializer=bias),
        lambda bias: L.RNN(LayerNormLSTMCell(4, bias_initializer=bias)),
    ],
)
def test_a_forget_gate_that_keras_sets_itself_raises(make):
    """Also where the shape fits: without a check, 8 units would get the four gates of 2."""
    with pytest.raises(ValueError, match="Pass unit_forget_bias=False"):
        make(Chrono(10)).build((None, 5, 2))
    make("zeros").build((None, 5, 2))


def test_our_cells_take_it():
    cell = LayerNormLSTMCell(4, bias_initializer=Chrono(10, seed=0), unit_forget_bias=False)
    cell.build((1, 2))
    np.testing.assert_array_equal(*(ops.convert_to_numpy(b) for b in (cell.bias, Chrono(10, seed=0)((16,)))))


@pytest.mark.parametrize("time", [0, -5, 1.9, float("inf"), float("nan"), "long", None])
def test_a_time_below_two_steps_raises(time):
    with pytest.raises(ValueError, match=r"max_time must be a number in \[2, inf\)"):
        Chrono(time)


@pytest.mark.parametrize("gates", [(), (0, 0), (1, 2), (True, 0), 3, None])
def test_signs_that_are_none_raise(gates):
    with pytest.raises(ValueError, match="gates must be"):
        Chrono(10, gates)


def test_an_unknown_cell_raises():
    with pytest.raises(ValueError, match="gates must be one of 'gru', 'lstm'"):
        Chrono(10, "rnn")


@pytest.mark.parametrize("shape", [(), (10,), (3, 8), (2, 2, 8)])
def test_shapes_that_are_no_gates_raise(shape):
    with pytest.raises(ValueError, match=r"shape must be \(4 units,\) or \(2, 4 units\)"):
        Chrono(10)(shape)
