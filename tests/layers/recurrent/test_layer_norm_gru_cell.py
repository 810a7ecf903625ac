"""The layer-normalized GRU cell: what the loops of tests/conformance leave open, and the GRU where norms do nothing."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import LayerNormGRUCell

pytestmark = pytest.mark.backend

FEATURES, UNITS, EPSILON = 3, 4, 1e6
ON_JAX = keras.backend.backend() == "jax"


def run(cell, x, weights):
    layer = keras.layers.RNN(cell, return_sequences=True, unroll=ON_JAX)
    layer.build(x.shape)
    layer.set_weights(weights)
    return ops.convert_to_numpy(layer(x))


def plain_weights(rng, reset_after):
    """W, U and b of a GRU whose products have mean zero over the gates and over the candidate."""
    kernel, recurrent = (rng.normal(size=(rows, 3 * UNITS)) * 0.5 for rows in (FEATURES, UNITS))
    for w in (kernel, recurrent):
        for part in (w[:, : 2 * UNITS], w[:, 2 * UNITS :]):
            part -= part.mean(axis=1, keepdims=True)
    return [kernel, recurrent, rng.normal(size=(2, 3 * UNITS) if reset_after else 3 * UNITS)]


def where_norms_do_nothing(x, weights, reset_after):
    """Outputs with gamma = sqrt(epsilon), epsilon large: norm(v) → v − mean(v)."""
    norms = [np.full(n * UNITS, gain) for n in (2, 1) for gain in (EPSILON**0.5, 0.0) * 2]
    return run(LayerNormGRUCell(UNITS, norm_epsilon=EPSILON, reset_after=reset_after), x, [*weights, *norms])


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 5, FEATURES)).astype("float32")


@pytest.mark.parametrize("reset_after", [True, False])
def test_where_the_norms_do_nothing_it_is_the_gru_of_keras(rng, x, reset_after):
    weights = plain_weights(rng, reset_after)
    expected = run(keras.layers.GRUCell(UNITS, reset_after=reset_after), x, weights)
    np.testing.assert_allclose(where_norms_do_nothing(x, weights, reset_after), expected, atol=2e-5)


@pytest.mark.oracle
def test_where_the_norms_do_nothing_it_is_the_gru_of_torch(rng, x):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    weights = plain_weights(rng, reset_after=True)
    # PyTorch's order is reset, update, candidate.
    order = np.concatenate([np.arange(UNITS, 2 * UNITS), np.arange(UNITS), np.arange(2 * UNITS, 3 * UNITS)])
    kernel, recurrent, bias = (w[:, order].astype("float32") for w in weights)
    gru = torch.nn.GRU(FEATURES, UNITS, batch_first=True)
    values = {"weight_ih_l0": kernel.T, "weight_hh_l0": recurrent.T, "bias_ih_l0": bias[0], "bias_hh_l0": bias[1]}
    gru.load_state_dict({name: torch.tensor(np.ascontiguousarray(value)) for name, value in values.items()})
    with torch.no_grad():
        expected = gru(torch.tensor(x))[0].numpy()
    np.testing.assert_allclose(where_norms_do_nothing(x, weights, reset_after=True), expected, atol=2e-5)


def test_scaling_the_weights_of_the_gates_or_of_the_candidate_changes_nothing(rng, x):
    cell = LayerNormGRUCell(UNITS, norm_epsilon=1e-12)
    layer = keras.layers.RNN(cell, return_sequences=True, unroll=ON_JAX)
    layer.build(x.shape)
    first = ops.convert_to_numpy(layer(x))
    for weight in (cell.kernel, cell.recurrent_kernel):
        weight.assign(ops.convert_to_numpy(weight) * np.repeat([3.0, 3.0, 0.2], UNITS))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), first, atol=1e-5)


def test_the_arguments_reach_the_norms():
    cell = LayerNormGRUCell(
        2,
        norm_gamma_initializer=keras.initializers.Constant(3.0),
        norm_beta_initializer=keras.initializers.Constant(4.0),
        norm_epsilon=0.5,
        reset_after=False,
        recurrent_dropout=0.25,
    )
    cell.build((None, 3))
    for norm, size in zip(cell.norms, (4, 4, 2, 2), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(norm.gamma), np.full(size, 3.0))
        np.testing.assert_array_equal(ops.convert_to_numpy(norm.beta), np.full(size, 4.0))
    again = LayerNormGRUCell.from_config(cell.get_config())
    assert (again.norm_epsilon, again.reset_after, again.recurrent_dropout) == (0.5, False, 0.25)
    assert again.get_config() == cell.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be an integer >= 1; received units=0"),
        ({"units": 2, "dropout": 1.0}, r"dropout must be a number in \[0, 1\); received dropout=1.0"),
        ({"units": 2, "recurrent_dropout": -0.1}, r"recurrent_dropout must be a number in \[0, 1\)"),
        ({"units": 2, "norm_epsilon": 0}, r"norm_epsilon must be a number in \(0, inf\)"),
    ],
)
def test_bad_arguments_raise_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        LayerNormGRUCell(**arguments)
