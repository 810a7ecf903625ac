"""Copies of layers and models."""

import keras
import numpy as np
import pytest

from keras_arch.compression.clone import clone, copy_of, fill

pytestmark = pytest.mark.backend


def test_a_copy_has_the_settings_but_for_the_changes():
    layer = keras.layers.Conv2D(3, 2, strides=2, activation="relu", name="c")
    copied = copy_of(layer, filters=1)
    assert copied is not layer
    assert copied.get_config() == {**layer.get_config(), "filters": 1}


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_a_clone_has_the_graph_and_is_not_compiled(kind):
    inputs = keras.Input((3,))
    dense = keras.layers.Dense(2, name="d")
    if kind == "sequential":
        model = keras.Sequential([inputs, dense], name="m")
    else:
        model = keras.Model(inputs, {"out": dense(inputs) + 1.0}, name="m")
    model.compile("sgd", lambda y, prediction: keras.ops.mean(prediction))
    again = clone(model, lambda layer: copy_of(layer) if isinstance(layer, keras.Layer) else layer)
    assert again.name == "m"
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert not again.compiled
    assert again.get_layer("d") is not dense
    fill(again.get_layer("d"), dense, dense.get_weights())
    x = np.ones((2, 3), "float32")
    got, wanted = again.predict(x, verbose=0), model.predict(x, verbose=0)
    keras.tree.map_structure(np.testing.assert_array_equal, got, wanted)


def test_a_copy_of_other_weights_is_refused():
    layer, copied = keras.layers.Dense(2, name="d"), keras.layers.Dense(2, use_bias=False)
    layer.build((None, 3))
    copied.build((None, 3))
    with pytest.raises(ValueError, match=r"layer 'd' \(keras.*Dense\) has 2 weights, its copy 1. Complete its get_con"):
        fill(copied, layer, layer.get_weights())
