"""Scenes: what is tapped, in which structure it comes back, and what an amendment changes."""

import contextlib
from dataclasses import dataclass

import keras
import numpy as np
import pytest

from keras_arch.core import tap
from keras_arch.explain.probe import Probe
from keras_arch.explain.target import select

L = keras.layers
convert = keras.ops.convert_to_numpy
pytestmark = pytest.mark.backend


def chain():
    layers = [L.Dense(4, activation="tanh", name=name, bias_initializer="ones") for name in ("first", "second")]
    return keras.Sequential([keras.Input((4,)), *layers, L.Dense(2, name="head")])


def gradients(probe, x, target):
    (chunk,) = probe.gradients(x, select(target, probe.survey(x).outputs, len(x)))
    return keras.tree.map_structure(convert, chunk.point), keras.tree.map_structure(convert, chunk.gradient)


def test_several_layers_give_a_tuple_of_points_and_gradients(rng):
    model, x = chain(), rng.normal(size=(4, 4)).astype("float32")
    first, second = model.get_layer("first"), model.get_layer("second")
    points, found = gradients(Probe(model).at(first, second), x, 1)
    for layer, point, gradient in zip((first, second), points, found, strict=True):
        alone, want = gradients(Probe(model).at(layer), x, 1)
        np.testing.assert_allclose(point, alone, rtol=1e-6)
        np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-7)
    kernel = convert(model.get_layer("head").kernel)
    np.testing.assert_allclose(found[1], np.tile(kernel[:, 1], (4, 1)), rtol=1e-6)


def test_several_layers_are_replaced_at_once(rng):
    model, x = chain(), rng.normal(size=(4, 4)).astype("float32")
    probe = Probe(model).at(model.get_layer("first"), model.get_layer("second"))
    parts = select(0, probe.survey(x).outputs, 4)
    points = probe.values(x)
    np.testing.assert_allclose(probe.replaced(x, points, parts), convert(model(x))[:, 0], rtol=1e-5, atol=1e-6)
    zeros = (points[0], np.zeros_like(points[1]))
    bias = convert(model.get_layer("head").bias)[0]
    np.testing.assert_allclose(probe.replaced(x, zeros, parts), np.full(4, bias), atol=1e-6)


def test_calls_of_one_layer_are_a_list(rng):
    shared = L.Dense(4, activation="tanh", name="shared")
    model = keras.Sequential([keras.Input((4,)), shared])
    inputs = keras.Input((4,))
    twice = keras.Model(inputs, shared(shared(inputs)))
    x = rng.normal(size=(2, 4)).astype("float32")
    points = Probe(twice).at(shared).values(x)
    assert isinstance(points, list)
    np.testing.assert_allclose(points[0], convert(model(x)), rtol=1e-5)
    np.testing.assert_allclose(points[1], convert(model(model(x))), rtol=1e-5)


@dataclass(frozen=True)
class Doubled:
    """Doubles what one layer returns."""

    name: str

    @contextlib.contextmanager
    def __call__(self, model):
        with tap.tap(model.get_layer(self.name), lambda result: 2 * result):
            yield


def test_an_amendment_holds_for_the_work_and_no_longer(rng):
    model, x = chain(), rng.normal(size=(4, 4)).astype("float32")
    probe = Probe(model)
    parts = select(1, probe.survey(x).outputs, 4)
    plain = probe.predict(x, parts)[1]
    np.testing.assert_allclose(probe.amended(Doubled("head")).predict(x, parts)[1], 2 * plain, rtol=1e-6)
    np.testing.assert_array_equal(probe.predict(x, parts)[1], plain)
    assert not [layer.name for layer in model.layers if "call" in vars(layer)]
