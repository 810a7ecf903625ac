"""Zoneout inside Keras's RNN: its states against a loop that is told the masks, and the masks' rates."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from oracles.memory_cells import sigmoid

from keras_arch.layers import ResidualCell, ZoneoutCell

pytestmark = pytest.mark.backend

ON_JAX = keras.backend.backend() == "jax"


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def lstm(inputs, h, c, kernel, recurrent, bias):
    """One step of one sample."""
    z = inputs @ kernel + h @ recurrent + bias
    enter, keep, candidate, leave = np.split(z, 4)
    squash = np.vectorize(sigmoid)
    c = squash(keep) * c + squash(enter) * np.tanh(candidate)
    return squash(leave) * np.tanh(c), c


@pytest.fixture
def weights(rng):
    return [rng.normal(size=shape).astype("float32") for shape in [(3, 8), (2, 8), (8,)]]


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 5, 3)).astype("float32")


def rnn(weights, unroll=ON_JAX, output_rate=0.3, cell_rate=0.6, **arguments):
    cell = ZoneoutCell(keras.layers.LSTMCell(2), output_rate, cell_rate, seed=3)
    layer = keras.layers.RNN(cell, return_sequences=True, unroll=unroll, **arguments)
    layer.build((2, 5, 3))
    layer.set_weights([*weights, *layer.get_weights()[3:]])
    return layer


@pytest.mark.parametrize("unroll", [False, True])
def test_inference_takes_the_expectation(x, weights, unroll):
    mask = np.array([[True, True, False, True, True], [False, True, True, True, False]])
    layer = rnn(weights, unroll, return_state=True)
    outputs, h, c, clock = layer(x, mask=ops.convert_to_tensor(mask))
    for n in range(2):
        h_n, c_n = np.zeros(2), np.zeros(2)
        for t in range(5):
            if mask[n, t]:
                new_h, new_c = lstm(x[n, t], h_n, c_n, *weights)
                h_n, c_n = 0.3 * h_n + 0.7 * new_h, 0.6 * c_n + 0.4 * new_c
            np.testing.assert_allclose(numpy(outputs)[n, t], h_n, rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(numpy(h)[n], h_n, rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(numpy(c)[n], c_n, rtol=2e-4, atol=1e-5)
    np.testing.assert_array_equal(numpy(clock), np.zeros((2, 2)))


def explained(x, weights, outputs):
    """For each step of one sample whether h kept its entries; None where no choice of masks explains the outputs.

    The masks of c do not show at once, so all of them are followed.
    """
    paths = [((), np.zeros(2), np.zeros(2))]
    for t in range(len(x)):
        following = []
        for kept, h, c in paths:
            new_h, new_c = lstm(x[t], h, c, *weights)
            for of_h, of_c in itertools.product(itertools.product([0, 1], repeat=2), repeat=2):
                after = np.where(of_h, h, new_h)
                if np.allclose(after, outputs[t], atol=1e-4):
                    following.append(((*kept, (of_h, of_c)), after, np.where(of_c, c, new_c)))
        paths = following
    return [path[0] for path in paths]


class Training(keras.Model):
    """Calls its layer in training mode, so that `predict` shows what a compiled training step computes."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs, training=True)


@pytest.mark.parametrize(("mode", "unroll"), [("eager", ON_JAX), ("compiled", False), ("compiled", True)])
def test_training_keeps_entries_by_masks_that_change(x, weights, mode, unroll):
    model = Training(rnn(weights, unroll))
    model.compile(jit_compile=ON_JAX)
    found = []
    for _ in range(2):
        outputs = model.predict(x, verbose=0) if mode == "compiled" else numpy(model(x))
        for n in range(2):
            paths = explained(x[n], weights, outputs[n])
            assert paths, f"no masks explain sample {n}"
            found.append(tuple(step[0] for step in paths[0]))
    assert all(len(set(steps)) > 1 for steps in found), "a sequence has one mask for all steps"
    assert len(set(found)) == 4, "samples or calls share their masks"


def constant_cell(width):
    """A simple cell whose new state is tanh(1), whatever comes."""
    cell = keras.layers.SimpleRNNCell(width, kernel_initializer="zeros", recurrent_initializer="zeros")
    cell.bias_initializer = keras.initializers.Ones()
    return cell


def test_rates_are_those_asked_for_and_entries_independent():
    layer = keras.layers.RNN(ZoneoutCell(constant_cell(50), 0.3, seed=1), return_sequences=True, unroll=False)
    model = Training(layer)
    model.compile(jit_compile=ON_JAX)
    outputs = model.predict(np.ones((40, 4, 1), "float32"), verbose=0)
    still_zero = outputs == 0
    # An entry is 0 until the first step that it does not keep.
    for t in range(4):
        assert still_zero[:, t].mean() == pytest.approx(0.3 ** (t + 1), abs=0.03)
    first = still_zero[:, 0]
    assert first.mean(axis=0).min() > 0.05
    assert first.mean(axis=0).max() < 0.6
    assert first.mean(axis=1).min() > 0.05
    assert first.mean(axis=1).max() < 0.6


def test_each_state_has_its_rate(x, weights):
    layer = rnn(weights, output_rate=0.0, cell_rate=0.9, return_state=True, unroll=True)
    clocks = []
    kept = total = 0
    for _ in range(10):
        _, _, c, clock = layer(x[:, :1], training=True)
        kept, total = kept + int((numpy(c) == 0).sum()), total + 4
        clocks.append(numpy(clock))
    assert kept / total > 0.7
    np.testing.assert_array_equal(clocks, np.tile([[1.0, 0.0]], (10, 2, 1)))
    outputs, *_ = layer(x[:, :1], training=True)
    for n in range(2):
        h, _ = lstm(x[n, 0], np.zeros(2), np.zeros(2), *weights)
        np.testing.assert_allclose(numpy(outputs)[n, 0], h, rtol=2e-4, atol=1e-5)


def test_steps_left_out_change_nothing_in_training(x, weights):
    mask = ops.convert_to_tensor(np.array([[True, False, False, True, False], [False, False, False, False, False]]))
    _, h, c, clock = rnn(weights, return_state=True)(x, mask=mask, training=True)
    np.testing.assert_array_equal(numpy(clock), [[2.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(numpy(h)[1], np.zeros(2))
    np.testing.assert_array_equal(numpy(c)[1], np.zeros(2))


def test_stepping_by_hand_keeps_one_key_until_it_is_reset():
    cell = ZoneoutCell(constant_cell(20), 0.5, seed=1)

    def first_step():
        return numpy(cell(ops.ones((3, 1)), cell.get_initial_state(3), training=True)[0])

    one, same = first_step(), first_step()
    np.testing.assert_array_equal(one, same)
    cell.reset_dropout_mask()
    assert (first_step() != one).any()


def test_a_residual_goes_around(rng):
    x = rng.normal(size=(2, 3, 4)).astype("float32")
    cell = ZoneoutCell(keras.layers.GRUCell(4), 0.2, seed=1)
    plain = keras.layers.RNN(cell, return_sequences=True, unroll=True)
    around = keras.layers.RNN(ResidualCell(cell), return_sequences=True, unroll=True)
    np.testing.assert_allclose(numpy(around(x)), numpy(plain(x)) + x, atol=1e-6)


class Outward(keras.layers.Layer):
    state_size, output_size = 2, 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output_rate": 1.0}, r"output_rate must be a number in \[0, 1\)"),
        ({"cell_rate": -0.5}, r"cell_rate must be a number in \[0, 1\)"),
        ({"cell": keras.layers.StackedRNNCells([keras.layers.GRUCell(2)] * 2)}, "cell must hold no other cell"),
        ({"cell": ResidualCell(keras.layers.GRUCell(2))}, "cell must hold no other cell"),
        ({"cell": Outward()}, r"cell must give its first state as its output, and has 3 outputs, states \[2\]"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ZoneoutCell(**{"cell": keras.layers.LSTMCell(2), **arguments})
