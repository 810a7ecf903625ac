"""Guided Grad-CAM against its factors and Captum."""

import keras
import numpy as np
import pytest
from oracles import torch_twin

from keras_arch.explain import GradCAM
from keras_arch.explain.cam.guided_grad_cam import GuidedGradCAM
from keras_arch.explain.gradient.guided_backprop import GuidedBackprop

pytestmark = pytest.mark.backend

L = keras.layers


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_values_are_the_product_of_both(interpolation):
    model, x, classes = torch_twin.keras_net(), torch_twin.images(3), [2, 0, 1]
    got = GuidedGradCAM(interpolation=interpolation).explain(model, x, classes)
    where = GradCAM(interpolation=interpolation).explain(model, x, classes)
    want = GuidedBackprop().explain(model, x, classes).values * where.values
    np.testing.assert_allclose(got.values, want, rtol=1e-5, atol=1e-8)
    assert got.layer == "features"
    np.testing.assert_allclose(got.scores, where.scores)
    early = GuidedGradCAM(layer="early").explain(model, x, classes)
    assert early.layer == "early"
    assert not np.allclose(early.values, got.values)


def test_an_input_without_positions_gets_zeros(rng):
    picture, table = keras.Input((6, 6, 1)), keras.Input((3,))
    pooled = L.GlobalAveragePooling2D()(L.Conv2D(2, 3, activation="relu")(picture))
    model = keras.Model([picture, table], L.Dense(2)(L.Concatenate()([pooled, table])))
    x = [rng.normal(size=(2, 6, 6, 1)), rng.normal(size=(2, 3))]
    got = GuidedGradCAM().explain(model, x, 1).values
    assert got[0].shape == (2, 6, 6, 1)
    np.testing.assert_array_equal(got[1], np.zeros((2, 3)))


def test_token_ids_are_explained_at_their_embedding(rng):
    inputs = keras.Input((6,), dtype="int32")
    embedded = L.Embedding(9, 3, name="table")(inputs)
    features = L.Conv1D(4, 3, activation="relu", name="features")(embedded)
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling1D()(features)))
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    tokens = rng.integers(0, 9, (2, 6)).astype("int32")
    got = GuidedGradCAM(layer="features").explain(model, tokens, 1).values
    where = GradCAM(layer="features").explain(model, tokens, 1).values
    np.testing.assert_allclose(got, where * GuidedBackprop().explain(model, tokens, 1).values, rtol=1e-5, atol=1e-9)
    assert got.shape == (2, 6, 3)


@pytest.mark.parametrize("settings", [{"interpolation": None}, {"data_format": "nchw"}])
def test_bad_settings_are_named(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be one of"):
        GuidedGradCAM(**settings)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")
def test_values_equal_captum():
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    model, x, classes = torch_twin.keras_net(), torch_twin.images(), np.array([2, 0, 1, 1])
    twin, images = torch_twin.torch_net(model), torch_twin.to_torch(x).requires_grad_()
    want = attr.GuidedGradCam(twin, twin[3]).attribute(images, torch.tensor(classes), interpolate_mode="bilinear")
    want = torch_twin.from_torch(want)
    got = GuidedGradCAM().explain(model, x, classes).values
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()
