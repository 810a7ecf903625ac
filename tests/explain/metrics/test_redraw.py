"""In which order layers are drawn, and what they get."""

import keras
import numpy as np
import pytest

from keras_arch.explain.metrics.redraw import redraw, stages
from keras_arch.explain.probe import Probe

pytestmark = pytest.mark.backend
L = keras.layers


def order(model, x):
    return [path for path, _ in stages(model, Probe(model).survey(x))]


def test_layers_come_from_the_output_down():
    inputs = keras.Input((6, 6, 1))
    last, first = L.Dense(2, name="last"), L.Conv2D(2, 3, name="first")  # created in another order than they run
    maps = L.BatchNormalization(name="norm")(first(inputs))
    model = keras.Model(inputs, last(L.Dense(3, name="middle")(L.GlobalAveragePooling2D()(L.ReLU()(maps)))))
    assert order(model, np.ones((1, 6, 6, 1), "float32")) == ["last", "middle", "norm", "first"]


def test_layers_inside_models_and_cells_are_found_where_they_run():
    backbone = keras.Sequential([keras.Input((5, 2)), L.Dense(3, name="in"), L.LSTM(4, name="lstm")], name="backbone")
    inputs = keras.Input((5, 2))
    model = keras.Model(inputs, L.Dense(2, name="head")(backbone(inputs)))
    assert order(model, np.ones((1, 5, 2), "float32")) == ["head", "backbone/lstm/lstm_cell", "backbone/in"]


def test_a_shared_weight_is_drawn_once_with_the_upper_layer():
    inputs = keras.Input((3,))
    shared = L.Dense(3, name="shared")
    model = keras.Model(inputs, shared(L.Dense(3, name="between")(shared(inputs))))
    assert order(model, np.ones((1, 3), "float32")) == ["shared", "between"]


class Scale(L.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.inner = L.Dense(2, name="inner")

    def build(self, shape):
        self.inner.build(shape)
        self.factor = self.add_weight(name="factor", shape=(2,), initializer="ones")

    def call(self, inputs):
        return self.inner(inputs) * self.factor


def test_weights_of_a_layer_around_others_are_its_own():
    model = keras.Sequential([keras.Input((2,)), Scale(name="scale"), L.Dense(1, name="head")])
    found = stages(model, Probe(model).survey(np.ones((1, 2), "float32")))
    assert [(path, [weight.name for _, weight in weights]) for path, weights in found] == [
        ("head", ["kernel", "bias"]),
        ("scale", ["factor"]),
        ("scale/inner", ["kernel", "bias"]),
    ]


def test_what_was_adapted_to_data_stays():
    normalize = L.Normalization(name="normalize")
    normalize.adapt(np.random.default_rng(0).normal(size=(8, 2)))
    model = keras.Sequential([keras.Input((2,)), normalize, L.Dense(1, name="head")])
    assert order(model, np.ones((1, 2), "float32")) == ["head"]


def test_new_numbers_come_from_the_initializer_with_another_seed():
    layer = L.Dense(
        200, kernel_initializer=keras.initializers.RandomNormal(stddev=0.2, seed=3), bias_initializer="ones"
    )
    layer.build((None, 100))
    before = np.array(layer.get_weights()[0])
    layer.bias.assign(np.zeros(200))
    redraw(layer, layer.kernel, np.random.default_rng(0))
    redraw(layer, layer.bias, np.random.default_rng(0))
    after, bias = layer.get_weights()
    assert after.std() == pytest.approx(0.2, rel=0.02)
    assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.05
    np.testing.assert_array_equal(bias, 1)
    redraw(layer, layer.kernel, np.random.default_rng(0))
    np.testing.assert_array_equal(layer.get_weights()[0], after)
    redraw(layer, layer.kernel, np.random.default_rng(1))
    assert (layer.get_weights()[0] != after).mean() > 0.99


def test_a_weight_without_an_initializer_is_shuffled(rng):
    layer = L.Dense(2)
    layer.build((None, 2))
    weight = keras.Variable(rng.normal(size=(20, 5)), name="table")
    before = np.array(keras.ops.convert_to_numpy(weight.value))
    redraw(layer, weight, np.random.default_rng(0))
    after = keras.ops.convert_to_numpy(weight.value)
    np.testing.assert_array_equal(np.sort(after.ravel()), np.sort(before.ravel()))
    assert (after != before).mean() > 0.9
