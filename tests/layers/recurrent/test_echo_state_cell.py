"""The reservoir inside Keras's RNN, against a loop in NumPy, and what makes it one."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.memory_cells import echo_state

from keras_arch.layers import EchoStateCell

pytestmark = pytest.mark.backend

ON_JAX = keras.backend.backend() == "jax"


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def rnn(unroll=ON_JAX, **arguments):
    layer = keras.layers.RNN(EchoStateCell(**arguments), return_sequences=True, unroll=unroll)
    layer.build((2, 4, 3))
    return layer


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 4, 3)).astype("float32")


@pytest.mark.parametrize(("leak_rate", "unroll"), [(1.0, True), (0.3, False)])
def test_outputs_equal_the_loop(x, leak_rate, unroll):
    layer = rnn(unroll, units=5, connectivity=0.5, leak_rate=leak_rate, bias_initializer="random_normal", seed=1)
    expected, _ = echo_state(x, layer.get_weights(), leak_rate)
    np.testing.assert_allclose(numpy(layer(x)), expected, rtol=1e-4, atol=1e-6)


def test_masked_steps_keep_the_state_given(rng, x):
    layer = rnn(units=5, connectivity=0.5, leak_rate=0.5, use_bias=False, seed=1)
    h, mask = (
        rng.normal(size=(2, 5)).astype("float32"),
        np.array([[True, False, True, False], [True, True, False, True]]),
    )
    expected, _ = echo_state(x, [*layer.get_weights(), np.zeros(5)], 0.5, h, mask)
    got = layer(x, initial_state=[ops.convert_to_tensor(h)], mask=ops.convert_to_tensor(mask))
    np.testing.assert_allclose(numpy(got), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("units", "connectivity", "heard"), [(1, 0.1, 1), (7, 0.1, 1), (40, 0.1, 4), (9, 1.0, 9)])
def test_the_spectral_radius_and_the_connections_are_exact(units, connectivity, heard):
    for seed in range(3):
        cell = EchoStateCell(units, connectivity, spectral_radius=0.8, seed=seed)
        cell.build((None, 3))
        reservoir = numpy(cell.recurrent_kernel)
        # One cycle of length n turns float32 rounding of its entries into its n-th root at most.
        assert np.abs(np.linalg.eigvals(reservoir.astype("float64"))).max() == pytest.approx(0.8, rel=1e-5)
        assert set(np.count_nonzero(reservoir, axis=0)) == {heard}


@pytest.mark.parametrize(("radius", "forgets"), [(0.7, True), (1.6, False)])
def test_a_small_radius_forgets_the_initial_state(rng, radius, forgets):
    layer = rnn(unroll=False, units=20, connectivity=0.5, spectral_radius=radius, use_bias=False, seed=2)
    x = np.zeros((2, 60, 3), "float32")
    start = ops.convert_to_tensor(rng.normal(size=(2, 20)).astype("float32"))
    last = numpy(layer(x, initial_state=[start]))[:, -1]
    assert (np.abs(last[0] - last[1]).max() < 1e-5) == forgets


def test_only_the_readout_is_trained(rng, x):
    reservoir = rnn(units=6, seed=1)
    model = keras.Sequential([keras.Input((4, 3)), reservoir, keras.layers.Dense(1)])
    before = reservoir.get_weights()
    model.compile("sgd", "mse", jit_compile=keras.backend.backend() == "jax")
    model.train_on_batch(x, rng.normal(size=(2, 4, 1)))
    assert len(model.trainable_variables) == 2
    for old, new in zip(before, reservoir.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_seed_decides_all_that_is_drawn():
    def weights(global_seed, **arguments):
        keras.utils.set_random_seed(global_seed)
        cell = EchoStateCell(8, 0.4, bias_initializer="random_normal", **arguments)
        cell.build((None, 3))
        return cell.get_weights()

    for one, same, other in zip(weights(1, seed=5), weights(2, seed=5), weights(1, seed=6), strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.allclose(one, other)
    for one, same, other in zip(weights(1), weights(1), weights(2), strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.allclose(one, other)


def test_arguments_survive_the_config():
    cell = EchoStateCell(4, 0.5, 0.7, 0.6, False, "relu", "ones", keras.initializers.HeNormal(seed=3), "zeros", 9)
    again = EchoStateCell.from_config(cell.get_config())
    assert again.get_config() == cell.get_config()
    assert cell.recurrent_initializer.seed == 3
    assert (again.state_size, again.output_size, again.seed) == (4, 4, 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be an integer >= 1"),
        ({"units": 2, "connectivity": 0.0}, r"connectivity must be a number in \(0, 1\]"),
        ({"units": 2, "spectral_radius": -1.0}, r"spectral_radius must be a number in \[0, inf\)"),
        ({"units": 2, "leak_rate": 0.0}, r"leak_rate must be a number in \(0, 1\]"),
        ({"units": 2, "seed": 0.5}, "seed must be an integer >= 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        EchoStateCell(**arguments)
