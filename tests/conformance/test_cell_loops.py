"""Every gated cell inside `keras.layers.RNN` against a loop in NumPy: values, masks, dropout, gradients, precision."""

import dataclasses
import functools
import itertools
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import ops
from oracles.gru import layer_norm_gru
from oracles.lstm import coupled_gate_lstm, layer_norm_lstm, peephole_lstm
from oracles.simple_rnn import layer_norm_simple_rnn

from keras_arch import layers

pytestmark = pytest.mark.backend

BATCH, LENGTH, FEATURES, UNITS = 2, 4, 3, 3
# JAX compiles each loop of an eager call anew, seconds at a time.
ON_JAX = keras.backend.backend() == "jax"


@dataclasses.dataclass(frozen=True)
class Loop:
    """A cell with arguments, and the loop that gives its outputs and last states from x, weights and options."""

    cell: type
    arguments: dict
    loop: Callable

    def rnn(self, weights=None, cell_arguments=(), unroll=ON_JAX, **arguments):
        cell = self.cell(UNITS, **self.arguments, **dict(cell_arguments))
        layer = keras.layers.RNN(cell, return_sequences=True, unroll=unroll, **arguments)
        layer.build((BATCH, None, FEATURES))
        if weights is not None:
            layer.set_weights(weights)
        return layer

    def random_weights(self, rng):
        return [rng.normal(size=w.shape).astype("float32") for w in self.rnn().get_weights()]


NORM = {"norm_epsilon": 1e-2}
BEFORE = {"reset_after": False}
LOOPS = {
    "CoupledGateLSTMCell": Loop(layers.CoupledGateLSTMCell, {}, coupled_gate_lstm),
    "LayerNormGRUCell": Loop(
        layers.LayerNormGRUCell, NORM, functools.partial(layer_norm_gru, epsilon=1e-2, reset_after=True)
    ),
    "LayerNormGRUCell, reset before": Loop(
        layers.LayerNormGRUCell, NORM | BEFORE, functools.partial(layer_norm_gru, epsilon=1e-2, reset_after=False)
    ),
    "LayerNormLSTMCell": Loop(layers.LayerNormLSTMCell, NORM, functools.partial(layer_norm_lstm, epsilon=1e-2)),
    "LayerNormSimpleRNNCell": Loop(
        layers.LayerNormSimpleRNNCell, NORM, functools.partial(layer_norm_simple_rnn, epsilon=1e-2)
    ),
    "PeepholeLSTMCell": Loop(layers.PeepholeLSTMCell, {}, peephole_lstm),
}


@pytest.fixture(params=LOOPS)
def case(request):
    return LOOPS[request.param]


@pytest.fixture
def weights(case, rng):
    return case.random_weights(rng)


@pytest.fixture
def x(rng):
    return rng.normal(size=(BATCH, LENGTH, FEATURES)).astype("float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def test_outputs_and_states_equal_the_loop(case, x, weights):
    for got, expected in zip(case.rnn(weights, return_state=True)(x), case.loop(x, weights), strict=True):
        np.testing.assert_allclose(numpy(got), expected, rtol=2e-4, atol=1e-5)


def test_masked_steps_keep_the_initial_and_later_states(case, rng, x, weights):
    mask = np.array([[True, False, True, True], [False, True, True, False]])
    layer = case.rnn(weights, return_state=True)
    states = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in keras.tree.flatten(layer.cell.state_size)]
    got, *after = layer(
        x, mask=ops.convert_to_tensor(mask), initial_state=[ops.convert_to_tensor(state) for state in states]
    )
    expected, *expected_after = case.loop(x, weights, **dict(zip("hc", states, strict=False)), mask=mask)
    np.testing.assert_allclose(numpy(got)[mask], expected[mask], rtol=2e-4, atol=1e-5)
    for state, wanted in zip(after, expected_after, strict=True):
        np.testing.assert_allclose(numpy(state), wanted, rtol=2e-4, atol=1e-5)


def test_without_bias_is_with_a_bias_of_zeros(case, x, weights):
    with_zeros = [*weights[:2], np.zeros_like(weights[2]), *weights[3:]]
    layer = case.rnn([*weights[:2], *weights[3:]], {"use_bias": False})
    np.testing.assert_allclose(numpy(layer(x)), case.loop(x, with_zeros)[0], rtol=2e-4, atol=1e-5)


def test_dropout_is_one_mask_for_all_steps_and_gates(case, x, weights):
    layer = case.rnn(weights, {"dropout": 0.5, "recurrent_dropout": 0.5, "seed": 1})
    masks = [2.0 * np.array(bits) for bits in itertools.product([0, 1], repeat=3)]  # 3 features, 3 units
    found = []
    for got in (numpy(layer(x, training=True)), numpy(layer(x, training=True))):
        for n in range(BATCH):
            fits = [
                (tuple(drop_x), tuple(drop_h))
                for drop_x, drop_h in itertools.product(masks, masks)
                if np.allclose(got[n], case.loop(x[n : n + 1] * drop_x, weights, drop=drop_h)[0][0], atol=1e-4)
            ]
            assert fits, f"no constant pair of masks explains sample {n}"
            found.append(fits[0])
    assert len(set(found)) > 1, "samples and calls share one mask"
    np.testing.assert_allclose(numpy(layer(x, training=False)), case.loop(x, weights)[0], rtol=2e-4, atol=1e-5)


def gradient(model, x, y):
    """Weights before a step of plain gradient descent minus weights after it: the gradient, on any backend."""
    before = model.get_weights()
    model.train_on_batch(x, y)
    return [old.astype("float64") - new for old, new in zip(before, model.get_weights(), strict=True)]


def test_gradients_equal_finite_differences(case, rng, x, weights):
    y = rng.normal(size=(BATCH, LENGTH, UNITS)).astype("float32")
    model = keras.Sequential([keras.Input((LENGTH, FEATURES)), case.rnn(weights)])
    model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=keras.backend.backend() == "tensorflow")
    got = gradient(model, x, y)
    direction = [rng.normal(size=w.shape) for w in weights]
    h = 1e-4

    def loss(step):
        moved = [w + step * d for w, d in zip(weights, direction, strict=True)]
        return ((case.loop(x, moved)[0] - y) ** 2).mean()

    expected = (loss(h) - loss(-h)) / (2 * h)
    assert sum((g * d).sum() for g, d in zip(got, direction, strict=True)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 6e-3), ("bfloat16", 5e-2)])
def test_mixed_precision_stays_near_float32(case, x, weights, dtype, tolerance):
    weights = [w * 0.5 for w in weights]
    policy = {"dtype": f"mixed_{dtype}"}
    layer = case.rnn(weights, policy, **policy)
    got = layer(x)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    np.testing.assert_allclose(numpy(ops.cast(got, "float32")), case.loop(x, weights)[0], atol=tolerance)
