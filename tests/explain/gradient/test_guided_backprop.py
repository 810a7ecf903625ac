"""Guided backpropagation against NumPy, Captum and its own limits."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import torch_twin
from oracles.rectifiers import backward

from keras_arch.explain.gradient.guided_backprop import GuidedBackprop
from keras_arch.explain.gradient.saliency import Saliency

pytestmark = pytest.mark.backend

L = keras.layers


def test_a_dense_net_equals_numpy(rng):
    model = keras.Sequential([keras.Input((5,)), *(L.Dense(7, activation="relu") for _ in range(3)), L.Dense(4)])
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    x, classes = rng.normal(size=(6, 5)).astype("float32"), np.array([0, 1, 2, 3, 0, 1])
    want = backward(model.get_weights(), x, classes, "guided")
    plain = backward(model.get_weights(), x, classes, "plain")
    assert not np.allclose(want, plain)
    got = GuidedBackprop().explain(model, x, classes)
    np.testing.assert_allclose(got.values, want, rtol=1e-4, atol=1e-5)
    signed = Saliency(absolute=False).explain(model, x, classes)  # the same layers, compiled apart
    np.testing.assert_allclose(signed.values, plain, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got.scores, signed.scores, rtol=1e-5)


def test_without_a_relu_it_is_the_gradient():
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(2)
    want = Saliency(absolute=False).explain(model, x, 1).values
    np.testing.assert_allclose(GuidedBackprop().explain(model, x, 1).values, want, rtol=1e-5, atol=1e-7)


def test_a_layer_takes_the_place_of_the_input():
    model, x = torch_twin.keras_net(), torch_twin.images(2)
    tail = keras.Sequential([keras.Input((5, 3, 5)), *model.layers[-3:]])
    head = keras.Sequential([keras.Input((9, 7, 2)), *model.layers[:2]])
    want = GuidedBackprop().explain(tail, ops.convert_to_numpy(head(x)), 2).values
    got = GuidedBackprop(layer="features").explain(model, x, 2).values
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_a_cell_inside_a_loop_is_guided_too(rng):
    cell = L.SimpleRNNCell(4, activation="relu", bias_initializer="ones")
    model = keras.Sequential([keras.Input((3, 2)), L.RNN(cell), L.Dense(2)])
    unrolled = keras.Sequential([keras.Input((3, 2)), L.RNN(cell, unroll=True), model.layers[-1]])
    x = rng.normal(size=(2, 3, 2)).astype("float32")
    looped, plain = (GuidedBackprop().explain(one, x, 1).values for one in (model, unrolled))
    np.testing.assert_allclose(looped, plain, rtol=1e-5, atol=1e-7)
    assert not np.allclose(looped, Saliency(absolute=False).explain(model, x, 1).values)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")
def test_values_equal_captum():
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    model, x, classes = torch_twin.keras_net(), torch_twin.images(), np.array([2, 0, 1, 1])
    twin, images = torch_twin.torch_net(model), torch_twin.to_torch(x).requires_grad_()
    want = torch_twin.from_torch(attr.GuidedBackprop(twin).attribute(images, torch.tensor(classes)))
    got = GuidedBackprop().explain(model, x, classes).values
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()
