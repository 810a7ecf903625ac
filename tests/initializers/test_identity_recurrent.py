"""Identity recurrence: states that neither fade nor grow."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.initializers import IdentityRecurrent

pytestmark = pytest.mark.backend


def irnn(initializer="zeros"):
    return keras.layers.SimpleRNN(
        3, activation="relu", kernel_initializer=initializer, recurrent_initializer=IdentityRecurrent()
    )


def test_a_state_stays_as_it_is_when_inputs_have_no_weight(rng):
    state = rng.uniform(size=(2, 3)).astype("float32")
    got = irnn()(rng.normal(size=(2, 100, 3)).astype("float32"), initial_state=state)
    np.testing.assert_array_equal(ops.convert_to_numpy(got), state)


def test_a_state_is_the_exact_sum_of_its_inputs(rng):
    x = rng.integers(0, 9, (2, 50, 3)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(irnn("identity")(x)), x.sum(axis=1))


@pytest.mark.parametrize("gates", [1, 2, 3, 4])
def test_every_gate_gets_its_own_identity(gates):
    gains = tuple(0.5 * place - 1 for place in range(gates))
    got = ops.convert_to_numpy(IdentityRecurrent(gains)((3, 3 * gates)))
    np.testing.assert_array_equal(got, np.concatenate([gain * np.eye(3) for gain in gains], axis=1))
    same = ops.convert_to_numpy(IdentityRecurrent(0.25)((3, 3 * gates)))
    np.testing.assert_array_equal(same, np.tile(0.25 * np.eye(3), gates))


def test_a_single_gate_is_that_of_keras():
    ours, theirs = IdentityRecurrent(0.3), keras.initializers.Identity(0.3)
    np.testing.assert_array_equal(*(ops.convert_to_numpy(one((4, 4))) for one in (ours, theirs)))


def test_the_candidate_of_a_gru_reads_its_own_state(rng):
    layer = keras.layers.GRU(
        2, activation="linear", kernel_initializer="zeros", recurrent_initializer=IdentityRecurrent((0, 0, 1))
    )
    state = rng.normal(size=(1, 2)).astype("float32")
    got = layer(np.zeros((1, 1, 1), "float32"), initial_state=state)  # z = r = 1/2: h/2 + h/2 * 1/2
    np.testing.assert_allclose(ops.convert_to_numpy(got), 0.75 * state, rtol=1e-6)


@pytest.mark.parametrize("gain", ["1", None, float("nan"), (1.0, float("inf")), ()])
def test_a_gain_that_is_no_number_raises(gain):
    with pytest.raises(ValueError, match="gain must be"):
        IdentityRecurrent(gain)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 0), (4, 2), (1, 3, 3)])
def test_shapes_that_are_no_gates_raise(shape):
    with pytest.raises(ValueError, match=r"shape must be \(units, gates \* units\); received"):
        IdentityRecurrent()(shape)


def test_another_number_of_gains_raises():
    with pytest.raises(ValueError, match=r"gain must be one number, or 3 for 3 gates; received gain=\(1.0, 2.0\)"):
        IdentityRecurrent((1, 2))((4, 12))
