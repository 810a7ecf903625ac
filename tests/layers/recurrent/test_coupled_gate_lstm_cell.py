"""The LSTM cell with coupled gates: what the loops of tests/conformance leave open, and the LSTM that equals it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import CoupledGateLSTMCell

pytestmark = pytest.mark.backend

ON_JAX = keras.backend.backend() == "jax"


def run(cell, x, weights):
    layer = keras.layers.RNN(cell, return_sequences=True, unroll=ON_JAX)
    layer.build(x.shape)
    layer.set_weights(weights)
    return ops.convert_to_numpy(layer(x))


@pytest.fixture
def case(rng):
    """x (B, T, D), and W, U and b with columns for the forget gate, the candidate and the output gate."""
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    return x, [rng.normal(size=shape).astype("float32") for shape in [(3, 12), (4, 12), (12,)]]


def with_input_gate(weights):
    """The same for an LSTM with four gates: σ(−z) = 1 − σ(z)."""
    return [np.concatenate([-w[..., :4], w], axis=-1) for w in weights]


def test_it_is_the_lstm_of_keras_whose_input_gate_mirrors_the_forget_gate(case):
    x, weights = case
    got = run(CoupledGateLSTMCell(4), x, weights)
    np.testing.assert_allclose(got, run(keras.layers.LSTMCell(4), x, with_input_gate(weights)), atol=1e-6)


@pytest.mark.oracle
def test_it_is_the_lstm_of_torch_whose_input_gate_mirrors_the_forget_gate(case):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    x, weights = case
    kernel, recurrent, bias = with_input_gate(weights)
    lstm = torch.nn.LSTM(3, 4, batch_first=True)
    values = {"weight_ih_l0": kernel.T, "weight_hh_l0": recurrent.T, "bias_ih_l0": bias, "bias_hh_l0": 0 * bias}
    lstm.load_state_dict({name: torch.tensor(np.ascontiguousarray(value)) for name, value in values.items()})
    with torch.no_grad():
        expected = lstm(torch.tensor(x))[0].numpy()
    np.testing.assert_allclose(run(CoupledGateLSTMCell(4), x, weights), expected, atol=1e-6)


def test_the_forget_gate_starts_open():
    for unit_forget_bias, expected in ((True, [1, 1, 0.5, 0.5, 0.5, 0.5]), (False, [0.5] * 6)):
        cell = CoupledGateLSTMCell(
            2, unit_forget_bias=unit_forget_bias, bias_initializer=keras.initializers.Constant(0.5)
        )
        cell.build((None, 3))
        np.testing.assert_array_equal(ops.convert_to_numpy(cell.bias), expected)


def test_regularizers_and_constraints_reach_their_weights():
    cell = CoupledGateLSTMCell(
        2,
        kernel_initializer="ones",
        recurrent_initializer="ones",
        kernel_regularizer=keras.regularizers.L1(1.0),
        recurrent_regularizer=keras.regularizers.L1(10.0),
        bias_regularizer=keras.regularizers.L1(100.0),
        kernel_constraint="non_neg",
        recurrent_constraint="non_neg",
        bias_constraint="non_neg",
    )
    cell.build((None, 3))
    assert [float(ops.convert_to_numpy(loss)) for loss in cell.losses] == [18.0, 120.0, 200.0]
    assert all(w.constraint is not None for w in (cell.kernel, cell.recurrent_kernel, cell.bias))


def test_bad_arguments_raise_at_construction():
    with pytest.raises(ValueError, match="units must be an integer >= 1; received units=0"):
        CoupledGateLSTMCell(0)
