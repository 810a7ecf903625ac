"""The layer-normalized plain cell: what the loops of tests/conformance leave open, and the plain cell itself."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import LayerNormSimpleRNNCell

pytestmark = pytest.mark.backend

FEATURES, UNITS, EPSILON = 3, 4, 1e6
ON_JAX = keras.backend.backend() == "jax"


def run(cell, x, weights):
    layer = keras.layers.RNN(cell, return_sequences=True, unroll=ON_JAX)
    layer.build(x.shape)
    layer.set_weights(weights)
    return ops.convert_to_numpy(layer(x))


@pytest.fixture
def case(rng):
    """x, W, U and b with products of mean zero, and the outputs with gamma = sqrt(epsilon): norm(v) → v − mean(v)."""
    x = rng.normal(size=(2, 5, FEATURES)).astype("float32")
    kernel, recurrent = (rng.normal(size=(rows, UNITS)).astype("float32") for rows in (FEATURES, UNITS))
    weights = [w - w.mean(axis=1, keepdims=True) for w in (kernel, recurrent)] + [rng.normal(size=UNITS)]
    return (
        x,
        weights,
        run(LayerNormSimpleRNNCell(UNITS, norm_epsilon=EPSILON), x, [*weights, np.full(UNITS, EPSILON**0.5)]),
    )


def test_where_the_norm_does_nothing_it_is_the_plain_cell_of_keras(case):
    x, weights, got = case
    np.testing.assert_allclose(got, run(keras.layers.SimpleRNNCell(UNITS), x, weights), atol=2e-5)


@pytest.mark.oracle
def test_where_the_norm_does_nothing_it_is_the_rnn_of_torch(case):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    x, (kernel, recurrent, bias), got = case
    rnn = torch.nn.RNN(FEATURES, UNITS, batch_first=True)
    values = {"weight_ih_l0": kernel.T, "weight_hh_l0": recurrent.T, "bias_ih_l0": bias, "bias_hh_l0": 0 * bias}
    rnn.load_state_dict({name: torch.tensor(np.ascontiguousarray(v, "float32")) for name, v in values.items()})
    with torch.no_grad():
        expected = rnn(torch.tensor(x))[0].numpy()
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_the_arguments_reach_the_norm():
    cell = LayerNormSimpleRNNCell(
        2, norm_gamma_initializer=keras.initializers.Constant(3.0), norm_epsilon=0.5, activation=None
    )
    cell.build((None, 3))
    np.testing.assert_array_equal(ops.convert_to_numpy(cell.norm_gamma), [3.0, 3.0])
    again = LayerNormSimpleRNNCell.from_config(cell.get_config())
    assert (again.norm_epsilon, again.norm_gamma_initializer.value) == (0.5, 3.0)
    assert again.get_config() == cell.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be an integer >= 1; received units=0"),
        ({"units": 2, "dropout": 1.0}, r"dropout must be a number in \[0, 1\); received dropout=1.0"),
        ({"units": 2, "recurrent_dropout": -0.1}, r"recurrent_dropout must be a number in \[0, 1\)"),
        ({"units": 2, "norm_epsilon": -1}, r"norm_epsilon must be a number in \(0, inf\)"),
    ],
)
def test_bad_arguments_raise_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        LayerNormSimpleRNNCell(**arguments)
