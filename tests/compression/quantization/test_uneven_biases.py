"""Files of layers whose biases are all equal, against Keras; weights that are as they were afterwards."""

import keras
import numpy as np
import pytest

from keras_arch.compression import calibrate, export_litert, quantize
from keras_arch.compression.quantization.uneven_biases import uneven_biases

L = keras.layers


def net(bias, shift=0.0):
    x = inputs = keras.Input((6, 6, 2))
    settings = {"bias_initializer": keras.initializers.Constant(bias)}
    x = L.Conv2D(4, 3, activation="relu", name="conv", **settings)(x)
    x = L.DepthwiseConv2D(3, padding="same", name="depthwise", **settings)(x)
    x = L.BatchNormalization(beta_initializer=keras.initializers.Constant(shift), name="norm")(x)
    x = L.Conv2D(3, 1, use_bias=False, name="last")(L.ReLU()(x))
    x = L.BatchNormalization(moving_mean_initializer=keras.initializers.Constant(shift), name="again")(x)
    return keras.Model(inputs, L.Dense(3, name="dense", **settings)(L.Flatten()(x)))


def prepared(bias, shift=0.0, **bits):
    x = np.random.default_rng(0).normal(size=(20, 6, 6, 2)).astype("float32")
    return calibrate(quantize(net(bias, shift), **bits), x), x


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT needs the TensorFlow backend")
# Wrong biases are 5 steps and more. Four layers may add up what LiteRT rounds twice; a step of 16 bits is small.
@pytest.mark.parametrize(("bits", "steps"), [({}, 1.01), ({"weights": 4}, 2.01), ({"activations": 16}, 8.01)])
@pytest.mark.parametrize(("bias", "shift"), [(0.7, 0.0), (-0.4, 0.5)])
def test_equal_biases_are_exported_as_they_are(bias, shift, bits, steps, tmp_path):
    q, x = prepared(bias, shift, **bits)
    before = [(weight.path, weight.numpy().tobytes()) for weight in q.weights]
    report = export_litert(q, tmp_path / "model.tflite", x)
    assert report.gap_steps <= steps
    assert [(weight.path, weight.numpy().tobytes()) for weight in q.weights] == before


def test_only_what_is_added_is_lent_another_value_and_comes_back_after_an_error():
    q, _ = prepared(0.7, 0.5)
    before = {weight.path: weight.numpy() for weight in q.weights}
    now = {}

    def fail():
        with uneven_biases(q):
            now.update({weight.path: weight.numpy() for weight in q.weights})
            raise RuntimeError("within")

    with pytest.raises(RuntimeError, match="within"):
        fail()
    changed = sorted(path for path in before if not np.array_equal(before[path], now[path]))
    short = ["/".join(path.split("/")[-2:]) for path in changed]
    assert short == ["again/moving_mean", "conv/bias", "dense/bias", "depthwise/bias", "norm/beta"]
    for path in changed:
        assert np.unique(now[path]).size == 2
        np.testing.assert_allclose(now[path], before[path], rtol=2e-6)
    for weight in q.weights:
        np.testing.assert_array_equal(weight.numpy(), before[weight.path])


def test_zeros_and_single_values_stay():
    layers = [keras.Input((4,)), L.Dense(3), L.Dense(1, bias_initializer="ones")]
    q = quantize(keras.Sequential(layers))
    before = [weight.numpy() for weight in q.weights]
    with uneven_biases(q):
        for weight, value in zip(q.weights, before, strict=True):
            np.testing.assert_array_equal(weight.numpy(), value)
