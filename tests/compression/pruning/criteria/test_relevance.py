"""Channels that an explanation finds irrelevant go first."""

import keras
import numpy as np
import pytest
from keras import layers as L

from keras_arch.compression import prune, shrink
from keras_arch.compression.pruning.criteria import Relevance

pytestmark = pytest.mark.backend


def network():
    inputs = keras.Input((6, 6, 2))
    x = L.Conv2D(4, 3, activation="relu", name="first")(inputs)
    x = L.Conv2DTranspose(3, 2, activation="relu", name="second")(x)
    x = L.SeparableConv2D(5, 3, activation="relu", name="third")(x)
    return keras.Model(inputs, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(x)))


def test_scores_are_mean_absolute_relevances_of_channels(rng):
    model = network()
    given = {
        "first": rng.normal(size=(7, 4, 4, 4)),
        "second": rng.normal(size=(7, 5, 5, 3)),
        "third": rng.normal(size=(7, 5)),
    }
    asked = []

    def explain(received, layer):
        assert received is model
        asked.append(layer)
        return given[layer]

    kernels = {
        "first": (model.get_layer("first").kernel, -1),
        "second": (model.get_layer("second").kernel, -2),
        "third": (model.get_layer("third").pointwise_kernel, -1),
    }
    score = Relevance(explain).for_model(model, [kernel for kernel, _ in kernels.values()])
    assert asked == ["first", "second", "third"]
    for name, (kernel, axis) in kernels.items():
        scores = score(kernel)
        assert scores.shape == tuple(kernel.shape)
        expected = np.abs(given[name]).reshape(-1, kernel.shape[axis]).mean(axis=0)
        for index, value in enumerate(expected):
            np.testing.assert_allclose(np.moveaxis(scores, axis, 0)[index], value, rtol=1e-6)


def test_the_irrelevant_channels_are_removed(rng):
    model = network()
    given = {
        name: rng.permutation(np.arange(1.0, size + 1))[None]
        for name, size in (("first", 4), ("second", 3), ("third", 5))
    }
    prune(model, 0.5, criterion=Relevance(lambda model, layer: given[layer]), pattern="channel")
    first = keras.ops.convert_to_numpy(model.get_layer("first").kernel)
    np.testing.assert_array_equal((first == 0).all(axis=(0, 1, 2)), given["first"][0] <= 2)
    small = shrink(model)
    assert [small.get_layer(name).filters for name in ("first", "second", "third")] == [2, 1, 3]


def test_what_does_not_explain_is_refused(rng):
    model = network()
    before = model.get_weights()
    with pytest.raises(ValueError, match="explain must be a callable"):
        Relevance("integrated_gradients")
    with pytest.raises(
        ValueError, match=r"explain must return relevances \(N, ..., 4\) of what 'first' gives; .* \(1, 3\)"
    ):
        prune(model, 0.5, criterion=Relevance(lambda model, layer: np.ones((1, 3))), pattern="channel")
    with pytest.raises(ValueError, match="can't be serialised, since it holds a function"):
        Relevance(len).get_config()
    with pytest.raises(ValueError, match=r"must be an object where it needs data; .* Pass Relevance\(explain\)"):
        prune(model, 0.5, criterion="relevance")
    memory = keras.Sequential([keras.Input((3, 2)), L.LSTM(4)])
    with pytest.raises(
        ValueError, match="targets that are kernels of dense or convolutional layers; received .*kernel"
    ):
        prune(memory, 0.5, criterion=Relevance(lambda model, layer: np.ones((1, 4))))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
