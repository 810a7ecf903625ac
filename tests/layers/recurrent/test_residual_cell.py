"""A cell plus its input."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.memory_cells import run, simple_cell

from keras_arch.layers import ResidualCell

pytestmark = pytest.mark.backend

ON_JAX = keras.backend.backend() == "jax"


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.fixture
def case(rng):
    """x (B, T, N), and the weights of a simple cell."""
    x = rng.normal(size=(2, 4, 3)).astype("float32")
    return x, [rng.normal(size=shape).astype("float32") for shape in [(3, 3), (3, 3), (3,)]]


def rnn(weights, unroll=ON_JAX, **arguments):
    layer = keras.layers.RNN(ResidualCell(keras.layers.SimpleRNNCell(3)), unroll=unroll, **arguments)
    layer.build((2, 4, 3))
    layer.set_weights(weights)
    return layer


def expected(x, weights, mask=None):
    inner = simple_cell(*weights)

    def step(inputs, states):
        output, states = inner(inputs, states[1:])
        return output + inputs, [output + inputs, *states]

    return run(step, x, [[np.zeros(3), np.zeros(3)] for _ in x], mask)


@pytest.mark.parametrize("unroll", [False, True])
def test_outputs_and_states_equal_the_loop(case, unroll):
    outputs, states = expected(*case)
    got = rnn(case[1], unroll, return_sequences=True, return_state=True)(case[0])
    for tensor, wanted in zip(got, [outputs, *states], strict=True):
        np.testing.assert_allclose(numpy(tensor), wanted, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("unroll", [False, True])
def test_the_last_output_before_padding_is_repeated(case, unroll):
    mask = np.array([[True, True, False, False], [True, False, True, False]])
    outputs, _ = expected(*case, mask)
    got = rnn(case[1], unroll)(case[0], mask=ops.convert_to_tensor(mask))
    np.testing.assert_allclose(numpy(got), outputs[:, -1], rtol=2e-4, atol=1e-5)


def test_it_wraps_a_whole_stack(rng):
    stack = keras.layers.StackedRNNCells([keras.layers.GRUCell(2), keras.layers.LSTMCell(3)])
    layer = keras.layers.RNN(ResidualCell(stack), return_sequences=True, unroll=ON_JAX)
    x = rng.normal(size=(2, 4, 3)).astype("float32")
    plain = keras.layers.RNN(stack, return_sequences=True, unroll=ON_JAX)
    np.testing.assert_allclose(numpy(layer(x)), numpy(plain(x)) + x, atol=1e-6)
    np.testing.assert_allclose(numpy(layer(x, training=True)), numpy(layer(x)), atol=1e-6)


def test_other_widths_are_refused():
    with pytest.raises(ValueError, match=r"inputs must have as many features as the cell has outputs, 3, .*Dense\(3\)"):
        keras.layers.RNN(ResidualCell(keras.layers.LSTMCell(3)))(np.ones((2, 4, 5), "float32"))
