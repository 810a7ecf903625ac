"""The engine: gradients of a trace, logits before a softmax, one chunk on several devices, XLA."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.explain import GradCAM, IntegratedGradients
from keras_arch.explain.backend import engine
from keras_arch.explain.programs import program, survey
from keras_arch.explain.scene import Scene
from keras_arch.explain.target import select

L = keras.layers
pytestmark = pytest.mark.backend
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow")


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("kind", ["activation", "layer", "subclassed", "nested"])
def test_logits_are_found_before_the_last_activation(rng, activation, kind):
    dense, x = L.Dense(3, bias_initializer="random_normal"), rng.normal(size=(2, 4)).astype("float32")
    logits = ops.convert_to_numpy(dense(x))
    if kind == "subclassed":

        class Ends(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = dense

            def call(self, inputs):
                return getattr(keras.ops, activation)(self.dense(inputs))

        if keras.backend.backend() != "tensorflow":
            with pytest.raises(ValueError, match="output must be 'model' .* something else than a layer with softmax"):
                IntegratedGradients().explain(Ends(), x, 1, output="logits")
            return

        model = Ends()
    else:
        model = keras.Sequential([keras.Input((4,)), dense, L.Activation(activation)])
    if kind == "activation":
        dense = L.Dense(3, activation=activation)
        model = keras.Sequential([keras.Input((4,)), dense])
        logits = x @ dense.get_weights()[0]
    if kind == "nested":
        model = keras.Sequential([keras.Input((4,)), model])
    got = IntegratedGradients().explain(model, x, 1, output="logits")
    np.testing.assert_allclose(got.predictions, logits, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got.values, x * dense.get_weights()[0][:, 1], rtol=1e-4, atol=1e-6)
    same = IntegratedGradients().explain(model, x, 1, output="probabilities")
    np.testing.assert_allclose(same.predictions, ops.convert_to_numpy(model(x)), rtol=1e-5)


def test_a_linear_head_is_its_own_logits_and_has_no_probabilities(rng):
    model, x = keras.Sequential([keras.Input((4,)), L.Dense(3)]), rng.normal(size=(2, 4))
    np.testing.assert_allclose(
        IntegratedGradients().explain(model, x, 1, output="logits").values,
        IntegratedGradients().explain(model, x, 1).values,
        rtol=1e-6,
    )
    with pytest.raises(ValueError, match=r"output must be 'model' .* its probabilities cannot be told.*Softmax"):
        IntegratedGradients().explain(model, x, 1, output="probabilities")


def test_logits_that_cannot_be_told_are_refused(rng):
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, activation="relu")])
    with pytest.raises(ValueError, match=r"output must be 'model' .* its logits cannot be told"):
        IntegratedGradients().explain(model, rng.normal(size=(2, 4)), 1, output="logits")


def test_gradients_equal_finite_differences_along_a_random_direction(rng):
    model = keras.Sequential([keras.Input((5,)), L.Dense(6, activation="tanh", bias_initializer="ones"), L.Dense(3)])
    x, way = (rng.normal(size=(2, 5)).astype("float32") for _ in range(2))
    parts = select(2, survey(model, engine().tensor(x)).outputs, 2)
    args = ([engine().tensor(parts[0].value)], engine().tensor(x))
    _, gradient, _, _ = program(Scene.gradient, Scene(model, (), "model", parts), args)(args, ())
    step = 1e-2
    change = ops.convert_to_numpy(model(x + step * way) - model(x - step * way))[:, 2] / (2 * step)
    np.testing.assert_allclose((ops.convert_to_numpy(gradient) * way).sum(1), change, rtol=1e-3)


def test_mixed_precision_gives_float32(rng):
    body = [L.Conv2D(4, 3, activation="relu", dtype="mixed_float16"), L.GlobalAveragePooling2D(dtype="mixed_float16")]
    model = keras.Sequential([keras.Input((6, 6, 1)), *body, L.Dense(2, dtype="mixed_float16")])
    x = rng.normal(size=(2, 6, 6, 1))
    plain = keras.Sequential(
        [keras.Input((6, 6, 1)), L.Conv2D(4, 3, activation="relu"), L.GlobalAveragePooling2D(), L.Dense(2)]
    )
    plain.set_weights(model.get_weights())
    for method in (GradCAM(interpolation=None), IntegratedGradients()):
        got, want = method.explain(model, x, 1), method.explain(plain, x, 1)
        assert got.values.dtype == got.predictions.dtype == got.scores.dtype == np.float32
        np.testing.assert_allclose(got.values, want.values, atol=5e-3 * np.abs(want.values).max())


def test_xla_gives_the_same(rng):
    model = keras.Sequential([keras.Input((6, 6, 1)), L.Conv2D(3, 3, activation="tanh"), L.Flatten(), L.Dense(2)])
    x = rng.normal(size=(3, 6, 6, 1))
    for method in (GradCAM(), IntegratedGradients(steps=3, layer="conv2d")):
        want = method.explain(model, x, 1)
        if keras.backend.backend() == "torch":
            with pytest.raises(ValueError, match="jit_compile must be False on PyTorch"):
                method.explain(model, x, 1, jit_compile=True)
        else:
            got = method.explain(model, x, 1, jit_compile=True)
            np.testing.assert_allclose(got.values, want.values, rtol=1e-4, atol=1e-6)


REPLICAS = """
import keras, numpy as np, tensorflow as tf
from keras_arch.explain import GradCAM, IntegratedGradients
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
keras.utils.set_random_seed(0)
seen = []
class Body(keras.layers.Layer):
    def call(self, x):
        context = tf.distribute.get_replica_context()
        if context is not None:
            seen.append(context.replica_id_in_sync_group)
        return x
def make():
    layers = [keras.layers.Conv2D(3, 3, activation="tanh", bias_initializer="ones"), Body(), keras.layers.Flatten()]
    return keras.Sequential([keras.Input((6, 6, 1)), *layers, keras.layers.Dense(4)])
plain = make()
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    spread = make()
spread.set_weights(plain.get_weights())
x = np.random.default_rng(0).normal(size=(5, 6, 6, 1)).astype("float32")
layer = plain.layers[0].name
for method in (GradCAM(), IntegratedGradients(steps=3), IntegratedGradients(steps=3, baseline=x[0])):
    for batch_size in (32, 3):
        want = method.explain(plain, x, [0, 1, 2, 3, 0])
        got = method.explain(spread, x, [0, 1, 2, 3, 0], batch_size=batch_size)
        np.testing.assert_allclose(got.values, want.values, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(got.scores, want.scores, rtol=1e-5)
assert {int(tf.get_static_value(place)) if tf.is_tensor(place) else place for place in seen} == {0, 1}, seen
before = len(seen)
method.explain(spread, x + 1, 3, batch_size=3)
assert len(seen) == before, "a new class costs no trace"
print("equal")
"""


@on_tensorflow
def test_a_chunk_is_spread_over_replicas():
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.split() == ["equal"], done.stderr[-3000:]
