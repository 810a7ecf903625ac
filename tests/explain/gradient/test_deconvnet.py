"""The deconvolutional network against NumPy and Captum."""

import keras
import numpy as np
import pytest
from oracles import torch_twin
from oracles.rectifiers import backward

from keras_arch.explain.gradient.deconvnet import Deconvnet
from keras_arch.explain.gradient.guided_backprop import GuidedBackprop

pytestmark = pytest.mark.backend


def test_a_dense_net_equals_numpy(rng):
    layers = [keras.layers.Dense(7, activation="relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(4)])
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    x, classes = rng.normal(size=(4, 5)).astype("float32"), np.array([0, 1, 2, 3])
    got = Deconvnet().explain(model, x, classes).values
    np.testing.assert_allclose(got, backward(model.get_weights(), x, classes, "deconvnet"), rtol=1e-4, atol=1e-5)
    assert not np.allclose(got, GuidedBackprop().explain(model, x, classes).values)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")
def test_values_equal_captum():
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    model, x, classes = torch_twin.keras_net(), torch_twin.images(), np.array([2, 0, 1, 1])
    twin, images = torch_twin.torch_net(model), torch_twin.to_torch(x).requires_grad_()
    want = torch_twin.from_torch(attr.Deconvolution(twin).attribute(images, torch.tensor(classes)))
    got = Deconvnet().explain(model, x, classes).values
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()
