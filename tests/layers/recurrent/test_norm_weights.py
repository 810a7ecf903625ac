"""Gains and shifts of norms inside cells."""

import keras
import pytest
from keras import ops

from keras_arch.layers import LayerNormLSTMCell
from keras_arch.layers.recurrent.norm_weights import positive_epsilon

pytestmark = pytest.mark.backend


def test_gains_and_shifts_are_weights_of_the_cell_that_stay_in_float32():
    seen = []

    class Watched(LayerNormLSTMCell):
        def call(self, inputs, states, training=False):
            weights = *self.kernel_norm, *self.state_norm, self.kernel
            seen.extend(keras.backend.standardize_dtype(w.dtype) for w in weights)
            return super().call(inputs, states, training)

    cell = Watched(2, dtype="mixed_float16")
    cell(ops.ones((2, 3)), cell.get_initial_state(2))
    gains = [w for w in cell.trainable_weights if "norm" in w.name]
    assert [(w.name, tuple(w.shape)) for w in gains] == [
        ("kernel_norm_gamma", (8,)),
        ("kernel_norm_beta", (8,)),
        ("recurrent_norm_gamma", (8,)),
        ("recurrent_norm_beta", (8,)),
        ("state_norm_gamma", (2,)),
        ("state_norm_beta", (2,)),
    ]
    assert seen == ["float32"] * 4 + ["float16"]


def test_norms_are_drawn_one_by_one():
    cell = LayerNormLSTMCell(2, norm_gamma_initializer="random_normal", norm_beta_initializer="random_normal")
    cell.build((None, 3))
    for kernel, recurrent in zip(cell.kernel_norm, cell.recurrent_norm, strict=True):
        assert (ops.convert_to_numpy(kernel) != ops.convert_to_numpy(recurrent)).all()


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), None])
def test_epsilon_is_positive_and_finite(value):
    with pytest.raises(ValueError, match=r"norm_epsilon must be a number in \(0, inf\)"):
        positive_epsilon(value)
