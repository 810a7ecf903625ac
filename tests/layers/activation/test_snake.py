import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import Snake

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 5, 3)])
@pytest.mark.parametrize("log_scale", [True, False])
def test_each_channel_has_a_frequency_of_its_own(shape, log_scale, rng):
    x, a = rng.standard_normal(shape).astype("float32"), np.array([0.3, 2.0, 9.0], "float32")
    layer = Snake(log_scale=log_scale)
    layer.build(shape)
    layer.set_weights([np.log(a) if log_scale else a])
    expected = np.zeros(shape)
    for index in np.ndindex(*shape):
        frequency = float(a[index[-1]])
        expected[index] = x[index] + np.sin(frequency * x[index]) ** 2 / frequency
    np.testing.assert_allclose(values(layer(x)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("log_scale", "weight"), [(True, np.log(0.25)), (False, 0.25)])
def test_it_starts_at_the_initial_frequency(log_scale, weight):
    layer = Snake(0.25, log_scale=log_scale)
    layer.build((None, 4))
    np.testing.assert_allclose(values(layer.alpha), np.full(4, weight), rtol=1e-6)
    assert [(weight.name, tuple(weight.shape)) for weight in layer.trainable_weights] == [("alpha", (4,))]


def test_a_period_is_learned(rng):
    x = rng.uniform(-2, 2, (256, 1)).astype("float32")
    y = x + np.sin(3.0 * x) ** 2 / 3.0
    layer = Snake(2.5)
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=keras.backend.backend() == "jax")
    model.fit(x, y, batch_size=64, epochs=15, verbose=0)
    np.testing.assert_allclose(np.exp(values(layer.alpha)), [3.0], rtol=0.02)


def test_a_frequency_of_zero_learns_in_linear_scale():
    layer = Snake(log_scale=False)
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.set_weights([np.zeros(1, "float32")])
    model.compile(keras.optimizers.SGD(1.0), lambda y, prediction: -ops.mean(prediction))
    model.fit(np.array([[2.0]], "float32"), np.zeros((1, 1)), verbose=0)
    np.testing.assert_allclose(values(layer.alpha), [4.0])  # dy/da = x² at a = 0


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "1", None])
def test_a_frequency_that_is_not_positive_is_refused(value):
    with pytest.raises(ValueError, match="initial_frequency must be a number"):
        Snake(value)


def test_unknown_channels_are_refused():
    with pytest.raises(ValueError, match=r"last axis of known size; received inputs=\(None, None\)"):
        Snake()(keras.Input((None,)))
