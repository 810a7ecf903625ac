"""JAX's own gradients, checked against closed forms where Keras runs on it."""

import keras
import numpy as np
import pytest

from keras_arch.explain import backend

pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="Keras does not run on JAX here"),
]


def test_gradients_of_several_watched_tensors_come_in_their_order(rng):
    engine = backend.engine()
    x, y = (engine.tensor(rng.normal(size=(2, 3)).astype("float32")) for _ in range(2))

    def run(watch):
        x_, y_ = watch(x), watch(y)
        return keras.ops.sum(x_**2 * y_, axis=1), "anything" and x_

    (by_x, by_y), rest = engine.differentiate(run)
    np.testing.assert_allclose(engine.array(by_x), engine.array(2 * x * y), rtol=1e-6)
    np.testing.assert_allclose(engine.array(by_y), engine.array(x**2), rtol=1e-6)
    np.testing.assert_allclose(engine.array(rest), engine.array(x))


def test_a_tensor_that_does_not_count_has_no_gradient(rng):
    engine = backend.engine()
    x = engine.tensor(rng.normal(size=(2, 3)).astype("float32"))

    def run(watch):
        watch(x)
        return keras.ops.sum(x * 0 + 1, axis=1) if True else keras.ops.ones(2), None

    (found,), _ = engine.differentiate(run)
    assert found is None or not np.any(engine.array(found))


def test_weights_have_no_gradient_written(rng):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    x = rng.normal(size=(2, 3)).astype("float32")
    from keras_arch.explain import IntegratedGradients

    got = IntegratedGradients(steps=2).explain(model, x)
    np.testing.assert_allclose(got.values, x * model.get_weights()[0][:, 0], rtol=1e-5, atol=1e-6)
    assert all(getattr(weight.value, "grad", None) is None for weight in model.weights)
