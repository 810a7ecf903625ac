"""Movement against a loop in NumPy that follows the weights of a linear regression."""

import keras
import numpy as np
import pytest

from keras_arch.callbacks import Pruning
from keras_arch.compression import ConstantSchedule, PolynomialSchedule, Pruner, prune, sensitivity
from keras_arch.compression.pruning.criteria.movement import Travelled

pytestmark = pytest.mark.backend
not_jax = pytest.mark.skipif(keras.backend.backend() == "jax", reason="refused on JAX")


def regression(weights, **settings):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1, use_bias=False, name="only")])
    model.layers[0].kernel.assign(weights[:, None])
    model.compile(keras.optimizers.SGD(0.1), "mse", **settings)
    return model


@not_jax
@pytest.mark.parametrize("settings", [{}, {"run_eagerly": True}, {"jit_compile": True}], ids=str)
def test_the_weights_that_move_to_zero_go(rng, settings):
    if keras.backend.backend() == "torch" and settings.get("jit_compile"):
        pytest.skip("Keras compiles by dynamo with PyTorch")
    x, w = rng.normal(size=(32, 6)).astype("float32"), np.array([3.0, 3.0, 3.0, 1.0, 1.0, 1.0], "float32")
    y = x @ np.array([0.2, 0.1, 0.3, 2.0, 2.5, 3.0], "float32")[:, None]  # the large ones shrink, the small ones grow
    model, moved, kernel = regression(w, **settings), np.zeros(6), w.astype("float64")
    for start in range(0, 16, 8):
        part = np.s_[start : start + 8]
        gradient = 2 * x[part].T @ (x[part] @ kernel - y[part, 0]) / 8
        moved -= kernel * gradient
        kernel -= 0.1 * gradient
    schedule = PolynomialSchedule(0.5, 0.5, begin_step=2, end_step=2, every=1)
    model.fit(
        x[:24], y[:24], batch_size=8, shuffle=False, verbose=0, callbacks=[Pruning(schedule, criterion="movement")]
    )
    gone = keras.ops.convert_to_numpy(model.layers[0].kernel)[:, 0] == 0
    np.testing.assert_array_equal(gone, np.isin(np.arange(6), np.argsort(moved)[:3]))
    assert gone[:3].all(), "by size the others would have gone"


@not_jax
def test_sums_are_those_of_a_loop(rng):
    model = regression(rng.normal(size=6).astype("float32"))
    pruner = Pruner(model, ConstantSchedule(0.5), criterion="movement")
    kernel = model.layers[0].kernel
    total = np.zeros((6, 1))
    with pruner.hold(model.optimizer):
        for _ in range(4):
            gradient = rng.normal(size=(6, 1)).astype("float32")
            total -= keras.ops.convert_to_numpy(kernel) * gradient
            model.optimizer.apply([keras.ops.convert_to_tensor(gradient)], [kernel])
    np.testing.assert_allclose(pruner._watched(kernel), total, rtol=1e-5, atol=1e-6)


def test_before_the_first_step_size_counts(rng):
    weight = keras.Variable(rng.normal(size=(3, 2)))
    np.testing.assert_allclose(Travelled([weight])(weight), np.abs(keras.ops.convert_to_numpy(weight)), rtol=1e-6)


def test_once_one_weight_has_moved_those_that_have_not_score_zero():
    still, moving = (keras.Variable(np.full((2,), 5.0)) for _ in range(2))
    watched = Travelled([still, moving])
    watched.step({id(moving): keras.ops.convert_to_tensor(np.array([1.0, -1.0], "float32"))})
    assert watched(moving).tolist() == [-5.0, 5.0]
    assert watched(still).tolist() == [0.0, 0.0]


def test_where_it_cannot_be_measured_it_is_refused(rng):
    model = regression(np.ones(6, "float32"))
    with pytest.raises(ValueError, match="criterion must not need training steps here"):
        prune(model, 0.5, criterion="movement")
    with pytest.raises(ValueError, match="criterion must not need training steps here"):
        sensitivity(model, np.ones((2, 6)), np.ones((2, 1)), criterion="movement", verbose=0)
    if keras.backend.backend() == "jax":
        with pytest.raises(ValueError, match="can't be done on JAX. Choose for example Taylor"):
            Pruner(model, ConstantSchedule(0.5), criterion="movement")
