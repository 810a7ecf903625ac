"""What each backend's own gradients are held to, where Keras runs on it."""

import keras
import numpy as np

from keras_arch.explain import IntegratedGradients, backend

ops = keras.ops


def check_order(rng):
    """Gradients of several watched tensors come in their order, and what else is returned comes along."""
    engine = backend.engine()
    x, y = (engine.tensor(rng.normal(size=(2, 3)).astype("float32")) for _ in range(2))

    def run(watch):
        watched = watch(x), watch(y)
        return ops.sum(watched[0] ** 2 * watched[1], axis=1), watched[0]

    (by_x, by_y), rest = engine.differentiate(run)
    np.testing.assert_allclose(engine.array(by_x), engine.array(2 * x * y), rtol=1e-6)
    np.testing.assert_allclose(engine.array(by_y), engine.array(x**2), rtol=1e-6)
    np.testing.assert_allclose(engine.array(rest), engine.array(x))


def check_idle(rng):
    """A tensor that does not count has no gradient, or zeros."""
    engine = backend.engine()
    x = engine.tensor(rng.normal(size=(2, 3)).astype("float32"))

    def run(watch):
        watch(x)
        return ops.ones(2), None

    (found,), _ = engine.differentiate(run)
    assert found is None or not np.any(engine.array(found))


def check_weights(rng):
    """Explaining writes no gradient to a weight."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    x = rng.normal(size=(2, 3)).astype("float32")
    got = IntegratedGradients(steps=2).explain(model, x)
    np.testing.assert_allclose(got.values, x * model.get_weights()[0][:, 0], rtol=1e-5, atol=1e-6)
    assert all(getattr(weight.value, "grad", None) is None for weight in model.weights)


CHECKS = [check_order, check_idle, check_weights]
