"""DeCov against numpy.cov, and as Keras scales it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.regularizers import Decorrelation

pytestmark = pytest.mark.backend


def cost(penalty, w):
    return float(ops.convert_to_numpy(penalty(ops.convert_to_tensor(w, dtype="float32"))))


def decov(h):
    covariance = np.cov(h.reshape(-1, h.shape[-1]).T, bias=True)
    return 0.5 * (np.linalg.norm(covariance) ** 2 - np.linalg.norm(np.diag(covariance)) ** 2)


@pytest.mark.parametrize("shape", [(6, 3), (4, 2, 3), (2, 3, 2, 4)])
def test_call_is_the_loss_times_the_batch_size(rng, shape):
    h = rng.normal(size=shape)
    assert cost(Decorrelation(0.3), h) == pytest.approx(0.3 * shape[0] * decov(h), rel=1e-5)


@pytest.mark.parametrize("size", [2, 5, 8])
def test_a_layer_adds_the_papers_loss_at_any_batch_size(rng, size):
    h = rng.normal(size=(size, 3)).astype("float32")
    layer = keras.layers.Activation("linear", activity_regularizer=Decorrelation(0.3))
    layer(ops.convert_to_tensor(h))
    assert float(ops.convert_to_numpy(layer.losses[0])) == pytest.approx(0.3 * decov(h), rel=1e-5)


def test_training_takes_correlations_out_of_the_outputs(rng):
    x = rng.normal(size=(64, 3)).astype("float32") @ np.array([[1, 1, 1], [0, 0.3, 0], [0, 0, 0.3]], "float32")
    layer = keras.layers.Dense(3, use_bias=False, activity_regularizer=Decorrelation(0.5))
    model = keras.Sequential([keras.Input((3,)), layer])
    layer.set_weights([np.eye(3, dtype="float32")])
    model.compile(keras.optimizers.SGD(0.2), jit_compile=keras.backend.backend() == "jax")
    model.fit(np.tile(x, (20, 1)), batch_size=32, verbose=0)
    assert decov(x @ layer.get_weights()[0]) < 0.05 * decov(x)


def test_one_sample_has_no_covariance():
    assert cost(Decorrelation(1.0), np.ones((1, 3))) == 0


def test_outputs_without_features_raise():
    with pytest.raises(
        ValueError, match=r"needs outputs of the shape \(batch, ..., features\); received the shape \(3,\)"
    ):
        Decorrelation(0.1)(ops.ones((3,)))


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        Decorrelation(strength)
