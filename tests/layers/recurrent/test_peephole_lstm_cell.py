"""The LSTM cell with peepholes: what the loops of tests/conformance leave open, and the LSTM without peepholes."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import PeepholeLSTMCell

pytestmark = pytest.mark.backend

ON_JAX = keras.backend.backend() == "jax"


def run(cell, x, weights):
    layer = keras.layers.RNN(cell, return_sequences=True, unroll=ON_JAX)
    layer.build(x.shape)
    layer.set_weights(weights)
    return ops.convert_to_numpy(layer(x))


@pytest.fixture
def case(rng):
    """x (B, T, D), and W, U and b of a plain LSTM."""
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    return x, [rng.normal(size=shape).astype("float32") for shape in [(3, 16), (4, 16), (16,)]]


def test_without_peepholes_it_is_the_lstm_of_keras(case):
    x, weights = case
    got = run(PeepholeLSTMCell(4), x, [*weights, *np.zeros((3, 4))])
    np.testing.assert_allclose(got, run(keras.layers.LSTMCell(4), x, weights), atol=1e-6)


@pytest.mark.oracle
def test_without_peepholes_it_is_the_lstm_of_torch(case):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    x, (kernel, recurrent, bias) = case
    lstm = torch.nn.LSTM(3, 4, batch_first=True)
    values = {"weight_ih_l0": kernel.T, "weight_hh_l0": recurrent.T, "bias_ih_l0": bias, "bias_hh_l0": 0 * bias}
    lstm.load_state_dict({name: torch.tensor(np.ascontiguousarray(value)) for name, value in values.items()})
    with torch.no_grad():
        expected = lstm(torch.tensor(x))[0].numpy()
    np.testing.assert_allclose(run(PeepholeLSTMCell(4), x, [*case[1], *np.zeros((3, 4))]), expected, atol=1e-6)


def test_it_starts_as_the_plain_lstm_and_its_peepholes_learn(rng):
    cell = PeepholeLSTMCell(2)
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.RNN(cell, unroll=ON_JAX)])
    peepholes = [cell.input_peephole, cell.forget_peephole, cell.output_peephole]
    np.testing.assert_array_equal([ops.convert_to_numpy(p) for p in peepholes], np.zeros((3, 2)))
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=keras.backend.backend() == "jax")
    model.train_on_batch(rng.normal(size=(4, 4, 3)), rng.normal(size=(4, 2)))
    assert all(np.all(ops.convert_to_numpy(p) != 0) for p in peepholes)


def test_the_arguments_of_the_peepholes_reach_them():
    cell = PeepholeLSTMCell(
        2,
        peephole_initializer=keras.initializers.Constant(3.0),
        peephole_regularizer=keras.regularizers.L1(1.0),
        peephole_constraint="non_neg",
    )
    cell.build((None, 3))
    assert [float(ops.convert_to_numpy(loss)) for loss in cell.losses] == [6.0] * 3
    assert isinstance(cell.forget_peephole.constraint, keras.constraints.NonNeg)
    again = PeepholeLSTMCell.from_config(cell.get_config())
    assert again.peephole_initializer.value == 3.0
    assert again.get_config() == cell.get_config()


def test_the_peepholes_are_drawn_one_by_one():
    cell = PeepholeLSTMCell(5, peephole_initializer="random_normal")
    cell.build((None, 3))
    drawn = np.stack(
        [ops.convert_to_numpy(w) for w in (cell.input_peephole, cell.forget_peephole, cell.output_peephole)]
    )
    assert len(np.unique(drawn)) == 15


def test_peepholes_stay_in_float32_under_mixed_precision():
    seen = []

    class Watched(PeepholeLSTMCell):
        def call(self, inputs, states, training=False):
            seen.extend(keras.backend.standardize_dtype(w.dtype) for w in (self.output_peephole, self.kernel))
            return super().call(inputs, states, training)

    cell = Watched(1, dtype="mixed_bfloat16")
    cell(ops.ones((2, 3)), cell.get_initial_state(2))
    assert seen == ["float32", "bfloat16"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be an integer >= 1; received units=0"),
        ({"units": 2, "dropout": 1.0}, r"dropout must be a number in \[0, 1\); received dropout=1.0"),
        ({"units": 2, "recurrent_dropout": -0.1}, r"recurrent_dropout must be a number in \[0, 1\)"),
    ],
)
def test_bad_arguments_raise_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        PeepholeLSTMCell(**arguments)
