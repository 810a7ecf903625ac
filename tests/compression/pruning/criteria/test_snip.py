"""Connection sensitivity: by hand, normalised, and kept from the first time on."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_arch import callbacks
from keras_arch.compression import PolynomialSchedule, prune
from keras_arch.compression.pruning.criteria import SNIP

pytestmark = pytest.mark.backend


def sensitivity(x, y, kernel):
    """|dL/dc| at c = 1 of L = mean((x (c w) - y)^2), by central differences, one connection after the other.

    L is a parabola in each c, so they are exact; float64.
    """
    x, y, kernel = (part.astype("float64") for part in (x, y, kernel))
    found = np.zeros(kernel.shape)
    for place in np.ndindex(*kernel.shape):
        sides = []
        for c in (1.5, 0.5):
            masked = kernel.copy()
            masked[place] *= c
            sides.append(np.mean((x @ masked - y) ** 2))
        found[place] = abs(sides[0] - sides[1])
    return found


def regression(rng):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model, rng.normal(size=(20, 6)).astype("float32"), rng.normal(size=(20, 2)).astype("float32")


@pytest.mark.parametrize("batch_size", [7, 32])
def test_scores_are_the_share_of_all_sensitivities(batch_size, rng):
    model, x, y = regression(rng)
    kernel = model.layers[0].kernel
    scores = SNIP(x, y, batch_size=batch_size).for_model(model, [kernel])(kernel)
    wanted = sensitivity(x, y, kernel.numpy())
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, wanted / wanted.sum(), rtol=1e-4, atol=1e-6)


def test_scores_of_all_weights_sum_to_one(rng):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(2)])
    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 2))
    kernels = [layer.kernel for layer in model.layers]
    scores = SNIP(x, y, "mse").for_model(model, kernels)
    np.testing.assert_allclose(sum(scores(kernel).sum() for kernel in kernels), 1.0, rtol=1e-5)


def test_scores_are_kept_for_each_model_and_weight(rng):
    model, x, y = regression(rng)
    other, _, _ = regression(rng)
    kernel, criterion = model.layers[0].kernel, SNIP(x, y)
    first = criterion.for_model(model, [kernel])(kernel)
    kernel.assign(ops.flip(kernel, axis=0))
    np.testing.assert_array_equal(criterion.for_model(model, [kernel])(kernel), first)
    wanted = sensitivity(x, y, kernel.numpy())
    np.testing.assert_allclose(SNIP(x, y).for_model(model, [kernel])(kernel), wanted / wanted.sum(), 1e-4, 1e-6)
    kernel = other.layers[0].kernel
    wanted = sensitivity(x, y, kernel.numpy())
    np.testing.assert_allclose(criterion.for_model(other, [kernel])(kernel), wanted / wanted.sum(), 1e-4, 1e-6)


def test_weights_that_are_asked_for_later_join_the_others(rng):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Dense(2)])
    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 2))
    one, two = (layer.kernel for layer in model.layers)
    together, apart = SNIP(x, y, "mse"), SNIP(x, y, "mse")
    wanted = together.for_model(model, [one, two])
    alone = apart.for_model(model, [one])(one)
    np.testing.assert_allclose(alone, wanted(one) / wanted(one).sum(), rtol=1e-4)
    scores = apart.for_model(model, [two, one])
    for kernel in (one, two):
        np.testing.assert_allclose(scores(kernel), wanted(kernel), rtol=1e-4)


def test_training_does_not_change_what_goes(rng):
    model, x, y = regression(rng)
    first = sensitivity(x, y, model.layers[0].kernel.numpy())
    criterion = SNIP(x, y)
    schedule = PolynomialSchedule(0.25, 0.75, 0, 8, every=2)
    model.fit(x, y, batch_size=5, epochs=2, callbacks=[callbacks.Pruning(schedule, criterion)], verbose=0)
    model.fit(x, y, batch_size=5, epochs=2, callbacks=[callbacks.Pruning(schedule, criterion)], verbose=0)
    kept = model.layers[0].kernel.numpy() != 0
    np.testing.assert_array_equal(kept, first >= np.sort(first, axis=None)[9])


def test_pruning_at_initialisation_takes_the_least_sensitive(rng):
    model, x, y = regression(rng)
    first = sensitivity(x, y, model.layers[0].kernel.numpy())
    prune(model, 0.5, scope="global", criterion=SNIP(x, y))
    np.testing.assert_array_equal(model.layers[0].kernel.numpy() == 0, first < np.sort(first, axis=None)[6])


def test_a_model_that_does_not_depend_on_its_weights_has_scores_of_zero():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, kernel_initializer="zeros"), layers.Dense(1)])
    criterion = SNIP(np.zeros((3, 2)), np.ones((3, 1)), "mse")
    kernels = [layer.kernel for layer in model.layers]
    assert not any(criterion.for_model(model, kernels)(kernel).any() for kernel in kernels)


def test_a_model_is_not_kept_alive(rng):
    model, x, y = regression(rng)
    criterion, gone = SNIP(x, y), weakref.ref(model)
    criterion.for_model(model, [model.layers[0].kernel])
    assert len(criterion._kept) == 1
    del model
    keras.utils.clear_session()
    gc.collect()
    assert gone() is None
    assert len(criterion._kept) == 0
