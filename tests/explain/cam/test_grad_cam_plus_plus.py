"""Grad-CAM++ against the paper's equation in loops."""

import keras
import numpy as np
import pytest
from oracles import class_activation, torch_twin
from oracles.keras_maps import features_and_gradient

from keras_arch.explain import GradCAM
from keras_arch.explain.cam.grad_cam_plus_plus import GradCAMPlusPlus

pytestmark = pytest.mark.backend

RAW = {"relu": False, "interpolation": None}


def test_raw_maps_equal_loops():
    for activation in ("relu", "tanh"):
        model, x, classes = torch_twin.keras_net(activation), torch_twin.images(3), [2, 0, 1]
        want = class_activation.grad_cam_plus_plus(*features_and_gradient(model, x, classes))
        got = GradCAMPlusPlus(**RAW).explain(model, x, classes).values[..., 0]
        np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())


def test_gradients_that_would_vanish_in_their_third_power_still_count():
    model, x = torch_twin.keras_net(), torch_twin.images(3)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 1e-16, bias])
    features, gradient = features_and_gradient(model, x, [2, 0, 1])
    got = GradCAMPlusPlus(**RAW).explain(model, x, [2, 0, 1]).values[..., 0]
    assert np.isfinite(got).all()
    limit = np.einsum("nhwc,nc->nhw", features, np.maximum(gradient, 0).sum((1, 2)) / 2)  # alpha -> 1/2
    np.testing.assert_allclose(got, limit, rtol=1e-4, atol=1e-6 * np.abs(limit).max())


def test_it_is_grad_cam_up_to_a_factor_a_channel_where_the_gradient_is_even(rng):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            layers.Conv2D(1, 2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    model.layers[-1].set_weights([np.array([[3.0, -3.0]]), np.ones(2)])
    x = rng.normal(size=(3, 6, 5, 2)).astype("float32")
    mine, plain = (make(**RAW).explain(model, x, 0).values for make in (GradCAMPlusPlus, GradCAM))
    ratio = mine.sum((1, 2, 3)) / plain.sum((1, 2, 3))
    np.testing.assert_allclose(mine, plain * ratio[:, None, None, None], rtol=1e-4)
    np.testing.assert_array_equal(GradCAMPlusPlus(**RAW).explain(model, x, 1).values, 0)  # all gradients negative
