"""HiResCAM against loops and its promises."""

import keras
import numpy as np
import pytest
from oracles import class_activation, torch_twin
from oracles.keras_maps import features_and_gradient

from keras_arch.explain import GradCAM
from keras_arch.explain.cam.hi_res_cam import HiResCAM

pytestmark = pytest.mark.backend

L = keras.layers


def test_raw_maps_equal_loops():
    model, x, classes = torch_twin.keras_net("tanh"), torch_twin.images(3), [2, 0, 1]
    want = class_activation.hi_res_cam(*features_and_gradient(model, x, classes))
    got = HiResCAM(relu=False, interpolation=None).explain(model, x, classes).values[..., 0]
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())


def test_maps_add_up_to_the_score_where_a_linear_head_follows(rng):
    model = keras.Sequential([keras.Input((6, 5, 2)), L.Conv2D(3, 2, activation="relu"), L.Flatten(), L.Dense(3)])
    x = rng.normal(size=(4, 6, 5, 2)).astype("float32")
    got = HiResCAM(relu=False, interpolation=None).explain(model, x, [0, 1, 2, 0])
    np.testing.assert_allclose(got.values.sum((1, 2, 3)), got.scores, rtol=1e-3, atol=1e-5)


def test_it_equals_grad_cam_after_global_pooling(rng):
    model = keras.Sequential([keras.Input((6, 5, 2)), L.Conv2D(3, 2), L.GlobalAveragePooling2D(), L.Dense(3)])
    x = rng.normal(size=(4, 6, 5, 2)).astype("float32")
    want = GradCAM(relu=False).explain(model, x, [0, 1, 2, 0]).values
    got = HiResCAM(relu=False).explain(model, x, [0, 1, 2, 0]).values
    np.testing.assert_allclose(got, want, atol=1e-6 * np.abs(want).max())
    flat = keras.Sequential([keras.Input((6, 5, 2)), L.Conv2D(3, 2), L.Flatten(), L.Dense(3)])
    mine, other = (make(relu=False).explain(flat, x, 1).values for make in (HiResCAM, GradCAM))
    assert not np.allclose(mine, other)
