"""The cell of independent units inside Keras's RNN, against a loop in NumPy and PyTorch's RNN."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import ops
from oracles.memory_cells import ind_rnn

from keras_arch.layers import IndRNNCell

pytestmark = pytest.mark.backend

BATCH, LENGTH, FEATURES, UNITS = 2, 4, 3, 3
ON_JAX = keras.backend.backend() == "jax"


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def rnn(weights, unroll=ON_JAX, **arguments):
    cell = IndRNNCell(UNITS, **{"recurrent_max_abs": None, **arguments})
    layer = keras.layers.RNN(cell, return_sequences=True, unroll=unroll)
    layer.build((BATCH, LENGTH, FEATURES))
    layer.set_weights(weights)
    return layer


@pytest.fixture
def x(rng):
    return rng.normal(size=(BATCH, LENGTH, FEATURES)).astype("float32")


@pytest.fixture
def weights(rng):
    return [rng.normal(size=shape).astype("float32") for shape in [(FEATURES, UNITS), (UNITS,), (UNITS,)]]


@pytest.mark.parametrize("unroll", [False, True])
def test_outputs_equal_the_loop(x, weights, unroll):
    np.testing.assert_allclose(numpy(rnn(weights, unroll)(x)), ind_rnn(x, weights)[0], rtol=2e-4, atol=1e-5)


def test_masked_steps_keep_the_state(x, weights):
    mask = np.array([[True, False, True, False], [False, True, True, False]])
    got = rnn(weights, activation="tanh")(x, mask=ops.convert_to_tensor(mask))
    np.testing.assert_allclose(numpy(got), ind_rnn(x, weights, math.tanh, mask)[0], rtol=2e-4, atol=1e-5)


def test_without_bias_is_with_a_bias_of_zeros(x, weights):
    got = rnn(weights[:2], use_bias=False)(x)
    np.testing.assert_allclose(numpy(got), ind_rnn(x, [*weights[:2], 0 * weights[2]])[0], rtol=2e-4, atol=1e-5)


def test_dropout_is_one_mask_for_all_steps(x, weights):
    layer = rnn(weights, activation="tanh", dropout=0.5, recurrent_dropout=0.5, seed=1)
    masks, found = list(itertools.product([0, 2], repeat=3)), []
    for got in (numpy(layer(x, training=True)), numpy(layer(x, training=True))):
        for n in range(BATCH):
            fits = [
                (drop_x, drop_h)
                for drop_x, drop_h in itertools.product(masks, masks)
                if np.allclose(got[n], ind_rnn(x[n : n + 1] * drop_x, weights, math.tanh, drop=drop_h)[0][0], atol=1e-4)
            ]
            assert fits, f"no constant pair of masks explains sample {n}"
            found.append(fits[0])
    assert len(set(found)) > 1, "samples and calls share one mask"


@pytest.mark.oracle
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_it_is_the_rnn_of_torch_with_a_diagonal_matrix(x, weights, activation):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    kernel, recurrent, bias = weights
    peer = torch.nn.RNN(FEATURES, UNITS, nonlinearity=activation, batch_first=True)
    values = [kernel.T.copy(), np.diag(recurrent), bias, 0 * bias]
    with torch.no_grad():
        for name, value in zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), values, strict=True):
            getattr(peer, name).copy_(torch.tensor(value))
        expected = peer(torch.tensor(x))[0].numpy()
    np.testing.assert_allclose(numpy(rnn(weights, activation=activation)(x)), expected, atol=1e-5)


def test_weights_start_and_stay_within_the_bound(rng):
    cell = IndRNNCell(50, recurrent_max_abs=0.5, recurrent_initializer="ones", recurrent_constraint=Signs())
    model = keras.Sequential([keras.Input((3, 2)), keras.layers.RNN(cell, unroll=True)])
    np.testing.assert_array_equal(numpy(cell.recurrent_kernel), np.full(50, 0.5))
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=ON_JAX)
    model.train_on_batch(rng.normal(size=(4, 3, 2)), 100 * rng.normal(size=(4, 50)))
    got = numpy(cell.recurrent_kernel)
    assert set(np.unique(np.abs(got))) == {0.5}, "the signs come first, then the bound"
    assert len(np.unique(np.sign(got))) > 1


class Signs(keras.constraints.Constraint):
    def __call__(self, w):
        return 10 * ops.sign(w)


@pytest.mark.parametrize(("bound", "top"), [(None, 1.0), (0.25, 0.25)])
def test_by_default_units_of_all_memory_lengths(bound, top):
    keras.utils.set_random_seed(1)
    cell = IndRNNCell(500, recurrent_max_abs=bound)
    cell.build((None, 1))
    drawn = numpy(cell.recurrent_kernel)
    assert 0 <= drawn.min() < 0.05 * top
    assert 0.95 * top < drawn.max() <= top
    assert drawn.mean() == pytest.approx(top / 2, rel=0.1)


def test_arguments_survive_the_config():
    cell = IndRNNCell(3, activation="tanh", recurrent_max_abs=2.0, recurrent_constraint="non_neg", dropout=0.1, seed=2)
    cell.build((None, 2))
    again = IndRNNCell.from_config(cell.get_config())
    assert again.get_config() == cell.get_config()
    assert (again.recurrent_max_abs, again.state_size, again.output_size) == (2.0, 3, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be an integer >= 1"),
        ({"units": 1, "recurrent_max_abs": 0}, r"recurrent_max_abs must be a number in \(0, inf\)"),
        ({"units": 1, "dropout": 1.0}, r"dropout must be a number in \[0, 1\)"),
        ({"units": 1, "recurrent_dropout": 1.0}, r"recurrent_dropout must be a number in \[0, 1\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        IndRNNCell(**arguments)
