"""The searched cell inside Keras's RNN, against a loop in NumPy."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from oracles.memory_cells import nas

from keras_arch.layers import NASCell

pytestmark = pytest.mark.backend

BATCH, LENGTH, FEATURES, UNITS = 2, 4, 3, 3
# JAX compiles each loop of an eager call anew, seconds at a time.
ON_JAX = keras.backend.backend() == "jax"


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def rnn(weights, unroll=ON_JAX, **arguments):
    layer = keras.layers.RNN(NASCell(UNITS, **arguments), return_sequences=True, return_state=True, unroll=unroll)
    layer.build((BATCH, LENGTH, FEATURES))
    layer.set_weights([w for w in weights if w is not None])
    return layer


@pytest.fixture
def x(rng):
    return rng.normal(size=(BATCH, LENGTH, FEATURES)).astype("float32")


@pytest.fixture(params=[None, 2])
def projection(request):
    return request.param


@pytest.fixture
def weights(rng, projection):
    width = projection or UNITS
    shapes = [(FEATURES, 8 * UNITS), (width, 8 * UNITS), (8 * UNITS,), (UNITS, width) if projection else None]
    return [None if shape is None else rng.normal(size=shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("unroll", [False, True])
def test_outputs_and_states_equal_the_loop(x, weights, projection, unroll):
    layer = rnn(weights, projection=projection, use_bias=True, unroll=unroll)
    expected, states = nas(x, weights)
    for got, wanted in zip(layer(x), [expected, *states], strict=True):
        np.testing.assert_allclose(numpy(got), wanted, rtol=2e-4, atol=1e-5)


def test_masked_steps_keep_the_state(x, weights, projection):
    mask = np.array([[True, False, True, False], [False, True, True, False]])
    layer = rnn(weights, projection=projection, use_bias=True)
    expected, states = nas(x, weights, mask)
    for got, wanted in zip(layer(x, mask=ops.convert_to_tensor(mask)), [expected, *states], strict=True):
        np.testing.assert_allclose(numpy(got), wanted, rtol=2e-4, atol=1e-5)


def test_without_bias_is_with_a_bias_of_zeros(x, weights, projection):
    kernel, recurrent, bias, last = weights
    layer = rnn([kernel, recurrent, None, last], projection=projection)
    expected, _ = nas(x, [kernel, recurrent, 0 * bias, last])
    np.testing.assert_allclose(numpy(layer(x)[0]), expected, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("projection", [2])
def test_dropout_is_one_mask_for_all_steps_and_gates(x, weights, projection):
    layer = rnn(weights, projection=projection, use_bias=True, dropout=0.5, recurrent_dropout=0.5, seed=1)
    found = []
    for got in (numpy(layer(x, training=True)[0]), numpy(layer(x, training=True)[0])):
        for n in range(BATCH):
            pairs = itertools.product(itertools.product([0, 2], repeat=3), itertools.product([0, 2], repeat=2))
            fits = [
                (drop_x, drop_h)
                for drop_x, drop_h in pairs
                if np.allclose(got[n], nas(x[n : n + 1] * drop_x, weights, drop=drop_h)[0][0], atol=1e-4)
            ]
            assert fits, f"no constant pair of masks explains sample {n}"
            found.append(fits[0])
    assert len(set(found)) > 1, "samples and calls share one mask"
    np.testing.assert_allclose(numpy(layer(x)[0]), nas(x, weights)[0], rtol=2e-4, atol=1e-5)


def test_arguments_reach_their_weights():
    cell = NASCell(
        2,
        projection=3,
        use_bias=True,
        kernel_initializer="ones",
        recurrent_initializer="ones",
        projection_initializer=keras.initializers.Constant(5.0),
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L1(1.0),
        recurrent_regularizer=keras.regularizers.L1(10.0),
        bias_regularizer=keras.regularizers.L1(100.0),
        kernel_constraint="non_neg",
        recurrent_constraint="non_neg",
        bias_constraint="non_neg",
    )
    cell.build((None, 4))
    assert [float(numpy(loss)) for loss in cell.losses] == [64.0, 480.0, 1600.0]
    assert all(w.constraint is not None for w in (cell.kernel, cell.recurrent_kernel, cell.bias))
    np.testing.assert_array_equal(numpy(cell.projection_kernel), np.full((2, 3), 5.0))
    assert (cell.state_size, cell.output_size) == ([3, 2], 3)
    assert NASCell.from_config(cell.get_config()).get_config() == cell.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be an integer >= 1; received units=0"),
        ({"units": 2, "projection": 0}, "projection must be an integer >= 1; received projection=0"),
        ({"units": 2, "activation": "relu"}, "activation must be left out: a NAS cell's eight activations are fixed"),
        ({"units": 2, "dropout": 1.0}, r"dropout must be a number in \[0, 1\)"),
        ({"units": 2, "recurrent_dropout": -0.1}, r"recurrent_dropout must be a number in \[0, 1\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        NASCell(**arguments)
