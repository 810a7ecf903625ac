"""Taylor importance: |w dL/dw| by hand, anew at each choice, and better than lots where it counts."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_arch import callbacks
from keras_arch.compression import ConstantSchedule, PolynomialSchedule, Pruner, prune
from keras_arch.compression.pruning.criteria import Random, Taylor

pytestmark = pytest.mark.backend


def by_hand(x, y, kernel):
    """|w g| of mean((x w - y)^2), in float64."""
    x, y, kernel = (part.astype("float64") for part in (x, y, kernel))
    return np.abs(kernel * (2 / y.size) * (x.T @ (x @ kernel - y)))


def regression(rng, dtype=None):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2, use_bias=False, dtype=dtype)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model, rng.normal(size=(20, 6)).astype("float32"), rng.normal(size=(20, 2)).astype("float32")


@pytest.mark.parametrize("batch_size", [7, 32])
@pytest.mark.parametrize("loss", [None, "mse"])
def test_scores_of_linear_regression_are_those_by_hand(batch_size, loss, rng):
    model, x, y = regression(rng)
    kernel = model.layers[0].kernel
    scores = Taylor(x, y, loss, batch_size).for_model(model, [kernel])(kernel)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, by_hand(x, y, kernel.numpy()), rtol=1e-4, atol=1e-6)


def test_scores_follow_the_weights(rng):
    model, x, y = regression(rng)
    kernel, criterion = model.layers[0].kernel, Taylor(x, y)
    for factor in (1.0, -2.0):
        kernel.assign(ops.multiply(kernel, factor))
        scores = criterion.for_model(model, [kernel])(kernel)
        np.testing.assert_allclose(scores, by_hand(x, y, kernel.numpy()), rtol=1e-4, atol=1e-6)


def test_what_goes_at_once_is_what_changes_the_loss_least_by_hand(rng):
    model, x, y = regression(rng)
    before = model.layers[0].kernel.numpy().copy()
    scores = by_hand(x, y, before)
    prune(model, 0.5, criterion=Taylor(x, y))
    np.testing.assert_array_equal(model.layers[0].kernel.numpy() == 0, scores < np.sort(scores, axis=None)[6])


def test_the_callback_prunes_by_the_weights_of_each_choice(rng):
    model, x, y = regression(rng)
    pruning = callbacks.Pruning(PolynomialSchedule(0.25, 0.75, 0, 4, every=2), Taylor(x, y), scope="global")
    model.fit(x, y, batch_size=5, epochs=2, callbacks=[pruning], verbose=0)
    assert pruning.report().sparsity == 0.75


def test_a_score_is_asked_for_all_weights_at_once(rng):
    model, x, y = regression(rng)
    asked = []

    class Counting(Taylor):
        def for_model(self, model, variables):
            asked.append(len(variables))
            return super().for_model(model, variables)

    pruner = Pruner(model, ConstantSchedule(0.5), Counting(x, y))
    assert asked == [1]
    pruner.prune(0.5)
    assert asked == [1, 1]


def test_removing_a_weight_changes_the_loss_by_the_score_to_first_order(rng):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(8, activation="tanh")(inputs)))
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(20, 6)).astype("float32"), rng.normal(size=(20, 2)).astype("float32")
    kernel = model.layers[1].kernel
    scores = Taylor(x, y).for_model(model, [kernel])(kernel)
    values, loss = kernel.numpy().copy(), model.evaluate(x, y, verbose=0)
    for place in [(0, 0), (3, 5), (5, 7)]:
        smaller = values.copy()
        smaller[place] *= 0.98
        kernel.assign(smaller)
        change = abs(model.evaluate(x, y, verbose=0) - loss) / 0.02
        np.testing.assert_allclose(change, scores[place], rtol=0.05, atol=1e-3 * scores.max())


def test_looking_at_data_leaves_no_trace_in_training(rng):
    x, y = rng.normal(size=(20, 6)).astype("float32"), rng.normal(size=(20, 2)).astype("float32")
    ends = []
    for callback in ([], [callbacks.Pruning(ConstantSchedule(0.0, every=1), Taylor(x, y, batch_size=8))]):
        keras.utils.set_random_seed(0)
        noisy = [layers.Dense(8), layers.BatchNormalization(), layers.Dropout(0.5, seed=1), layers.Dense(2)]
        model = keras.Sequential([keras.Input((6,)), *noisy])
        model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
        history = model.fit(x, y, batch_size=5, epochs=2, shuffle=False, callbacks=callback, verbose=0)
        ends.append([*model.get_weights(), *history.history["loss"], *history.history["mae"]])
    for plain, watched in zip(*ends, strict=True):
        np.testing.assert_allclose(watched, plain, rtol=1e-5, atol=1e-6)


def test_a_trained_network_loses_less_by_taylor_than_by_lots(rng):
    centres = 2 * rng.normal(size=(4, 8))
    labels = np.arange(400) % 4
    x = (centres[labels] + rng.normal(size=(400, 8))).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(4),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    model.fit(x, labels, epochs=3, verbose=0)
    trained = model.get_weights()
    results = {}
    for criterion in (Taylor(x, labels), Random(0), Random(1), Random(2)):
        model.set_weights(trained)
        report = prune(model, 0.8, scope="global", criterion=criterion)
        assert abs(report.sparsity - 0.8) < 0.01
        results[repr(criterion)] = model.evaluate(x, labels, verbose=0, return_dict=True)
    taylor, *lots = results.values()
    assert taylor["accuracy"] > max(other["accuracy"] for other in lots) + 0.1, results
    assert taylor["loss"] < min(other["loss"] for other in lots), results
