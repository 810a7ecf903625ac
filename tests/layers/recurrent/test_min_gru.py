import keras
import numpy as np
import pytest
from keras import ops
from oracles import recurrence as oracle

from keras_arch.layers import MinGRU

pytestmark = pytest.mark.backend

numpy = ops.convert_to_numpy


@pytest.fixture
def layer():
    layer = MinGRU(3, activation="tanh", bias_initializer="random_normal", return_sequences=True)
    layer.build((2, 7, 4))
    return layer


def expected(layer, x, state=None, mask=None):
    gate, candidate = layer.gates[0].get_weights(), layer.candidate.get_weights()
    logits = x.astype("float64") @ gate[0] + gate[1]
    if mask is not None:
        logits = np.where(mask[..., None], logits, -50.0)  # σ(−50): 2e-22
    return oracle.gated_recurrence(logits, np.tanh(x @ candidate[0] + candidate[1]), state)


def test_it_is_the_formula_step_by_step(rng, layer):
    x, state = rng.normal(size=(2, 7, 4)).astype("float32"), rng.normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(numpy(layer(x)), expected(layer, x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        numpy(layer(x, initial_state=ops.convert_to_tensor(state))), expected(layer, x, state), rtol=1e-4, atol=1e-5
    )


def test_masked_steps_keep_the_state_and_repeat_the_output(rng, layer):
    x, mask = rng.normal(size=(2, 7, 4)).astype("float32"), rng.random((2, 7)) > 0.4
    np.testing.assert_allclose(numpy(layer(x, mask=mask)), expected(layer, x, mask=mask), rtol=1e-4, atol=1e-5)


def test_the_gate_starts_with_its_own_bias():
    layer = MinGRU(3, gate_bias_initializer=keras.initializers.Constant(-4.0))
    layer.build((1, 2, 4))
    assert numpy(layer.gates[0].bias).tolist() == [-4, -4, -4]
    assert numpy(layer.candidate.bias).tolist() == [0, 0, 0]


def test_it_remembers_what_stands_at_the_start(rng):
    keras.utils.set_random_seed(0)
    x = rng.normal(size=(64, 20, 2)).astype("float32")
    x[..., 1] = np.arange(20) == 0  # gates see inputs only: something has to say which step matters
    patient = keras.initializers.Constant(-3.0)  # else 20 gates half open let nothing of the start through
    model = keras.Sequential([MinGRU(16, gate_bias_initializer=patient), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.03), "mse", jit_compile=False)
    losses = model.fit(x, x[:, 0, :1], epochs=60, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_units_are_checked():
    with pytest.raises(ValueError, match="units must be an integer >= 1; received units=0"):
        MinGRU(0)
