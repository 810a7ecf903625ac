"""The smaller model is built from the layers' own settings."""

import keras
import numpy as np
import pytest

from keras_arch.compression.graph import graph_of
from keras_arch.compression.pruning.shrinking.rebuild import cut, smaller
from keras_arch.compression.pruning.shrinking.removal import Removal
from keras_arch.compression.pruning.shrinking.trace import Trace
from keras_arch.initializers import DeltaOrthogonal

pytestmark = pytest.mark.backend
L = keras.layers


def test_settings_stay_and_sizes_shrink():
    layers = [
        keras.Input((6, 2)),
        L.Conv1D(4, 3, kernel_initializer=DeltaOrthogonal(seed=1), kernel_regularizer="l2", name="a"),
        L.Conv1D(4, 1, kernel_initializer=DeltaOrthogonal(seed=2), trainable=False, name="b"),
        L.Conv1D(3, 1, name="c"),
    ]
    model = keras.Sequential(layers, name="m")
    kernel, bias = model.get_layer("b").get_weights()
    kernel[..., 1:] = 0.0
    model.get_layer("b").set_weights([kernel, bias])
    removal = Removal(Trace(graph_of(model)))
    # DeltaOrthogonal refuses the shape (1, 4, 1) of what is left of b; its values are not wanted, its setting is.
    small = smaller(model, removal)
    for layer, old in zip(small.layers, model.layers, strict=True):
        assert {**layer.get_config(), "filters": old.filters} == {**old.get_config()}
    assert [layer.filters for layer in small.layers] == [4, 1, 3]
    assert [layer.trainable for layer in small.layers] == [True, False, True]
    assert isinstance(small.get_layer("b").kernel_initializer, DeltaOrthogonal)
    changes, weights = cut("c", model.get_layer("c"), removal)
    assert (changes, [weight.shape for weight in weights]) == ({"filters": 3}, [(1, 1, 3), (3,)])


def test_untraced_layers_are_copied_with_their_weights(rng):
    inner = keras.Sequential([keras.Input((4,)), L.Dense(4, "relu"), L.Dense(2)], name="inner")
    inner.layers[0].trainable = False
    x = keras.Input((3,))
    model = keras.Model(x, inner(L.LayerNormalization(name="n")(L.Dense(4, name="d")(x))) + 1.0)
    for weight in model.weights:
        weight.assign(rng.standard_normal(weight.shape))
    small = smaller(model, Removal(Trace(graph_of(model))))
    data = rng.standard_normal((5, 3)).astype("float32")
    np.testing.assert_array_equal(small.predict(data, verbose=0), model.predict(data, verbose=0))
    assert [layer.trainable for layer in small.get_layer("inner").layers] == [False, True]
