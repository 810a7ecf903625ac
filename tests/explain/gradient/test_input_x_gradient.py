"""Input times gradient against closed forms, its parts and Captum."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import torch_twin

from keras_arch.explain.gradient.input_x_gradient import InputXGradient
from keras_arch.explain.gradient.saliency import Saliency

pytestmark = pytest.mark.backend


def test_a_linear_model_is_shared_out_exactly(rng):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, bias_initializer="random_normal")])
    x = rng.normal(size=(4, 5)).astype("float32")
    got = InputXGradient().explain(model, x, 2)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(got.values, x * kernel[:, 2], rtol=1e-5)
    np.testing.assert_allclose(got.values.sum(1), got.scores - bias[2], rtol=1e-4, atol=1e-6)


def test_a_product_gives_each_factor_the_whole():
    x = np.array([[2.0, 3.0, 5.0]], "float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda t: ops.prod(t, axis=-1))])
    np.testing.assert_allclose(InputXGradient().explain(model, x).values, [[30.0, 30.0, 30.0]], rtol=1e-5)


def test_a_layer_is_multiplied_by_what_it_returns():
    model, x = torch_twin.keras_net(), torch_twin.images(3)
    head = keras.Sequential([keras.Input((9, 7, 2)), *model.layers[:2]])
    slope = Saliency(absolute=False, layer="features").explain(model, x, 0).values
    got = InputXGradient(layer="features").explain(model, x, 0)
    np.testing.assert_allclose(got.values, slope * ops.convert_to_numpy(head(x)), rtol=1e-5, atol=1e-7)


def test_several_inputs_keep_their_structure(rng):
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    model = keras.Model({"left": left, "right": right}, keras.layers.Dot(1)([left, right]))
    x = {"left": rng.normal(size=(3, 2)).astype("float32"), "right": rng.normal(size=(3, 2)).astype("float32")}
    got = InputXGradient().explain(model, x)
    for name in ("left", "right"):
        np.testing.assert_allclose(got.values[name], x["left"] * x["right"], rtol=1e-5)


@pytest.mark.oracle
def test_values_equal_captum():
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    model, x, classes = torch_twin.keras_net(), torch_twin.images(), np.array([2, 0, 1, 1])
    twin, images = torch_twin.torch_net(model), torch_twin.to_torch(x).requires_grad_()
    want = torch_twin.from_torch(attr.InputXGradient(twin).attribute(images, torch.tensor(classes)))
    got = InputXGradient().explain(model, x, classes).values
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()
    want = attr.LayerGradientXActivation(twin, twin[3]).attribute(images, torch.tensor(classes))
    got = InputXGradient(layer="features").explain(model, x, classes).values
    assert np.abs(got - torch_twin.from_torch(want)).max() <= 1e-6 * np.abs(got).max()
