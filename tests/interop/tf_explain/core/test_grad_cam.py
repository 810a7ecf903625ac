"""Class activation maps in color, guided or not."""

import keras
import numpy as np
import pytest
from oracles.grad_cam import convolve, grad_cam

from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.core.grad_cam import GradCAM

pytestmark = pytest.mark.filterwarnings("ignore:.*follows tf-explain")
L = keras.layers


@pytest.fixture
def pooled():
    layers = [L.Conv2D(4, 3, name="features", bias_initializer="random_normal"), L.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((8, 8, 3)), *layers, L.Dense(3, name="head")])


def test_raw_maps_equal_loops_in_numpy_and_keep_what_speaks_against(pooled, images, assert_same_picture):
    kernel, bias = pooled.get_layer("features").get_weights()
    head = pooled.get_layer("head").get_weights()[0]
    maps = grad_cam(convolve(images, kernel, bias), head, np.array([1, 1, 1]))
    assert (maps < 0).any()
    got = GradCAM().explain((images, None), pooled, 1, "features", use_guided_grads=False, image_weight=0.4)
    over = [pictures.overlaid(one, image, image_weight=0.4) for one, image in zip(maps, images, strict=True)]
    assert_same_picture(got, pictures.tiled(np.stack(over)))


def test_guided_gradients_count_where_they_and_the_feature_are_positive(pooled, images, assert_same_picture):
    kernel, bias = pooled.get_layer("features").get_weights()
    features = convolve(images, kernel, bias)
    slope = pooled.get_layer("head").get_weights()[0][:, 1] / 36  # (C,), the same at each position
    alpha = ((features > 0) * np.maximum(slope, 0)).mean((1, 2))
    maps = np.einsum("nhwc,nc->nhw", features, alpha)
    over = [pictures.overlaid(one, image) for one, image in zip(maps, images, strict=True)]
    assert_same_picture(GradCAM().explain((images, None), pooled, 1, "features"), pictures.tiled(np.stack(over)))


def test_the_last_layer_with_four_axes_is_found(pooled, images):
    assert GradCAM.infer_grad_cam_target_layer(pooled) == "features"
    want = GradCAM().explain((images, None), pooled, 1, "features")
    np.testing.assert_array_equal(GradCAM().explain((images, None), pooled, 1), want)
    with pytest.raises(ValueError, match="model must have a layer whose output has four axes"):
        GradCAM.infer_grad_cam_target_layer(keras.Sequential([keras.Input((4,)), L.Dense(2)]))


def test_a_layer_without_positions_is_refused(pooled, images):
    with pytest.raises(ValueError, match="layer_name must name a layer that returns"):
        GradCAM().explain((images, None), pooled, 1, "head")


@pytest.mark.oracle
def test_the_picture_is_tf_explains(net, images, real, assert_same_picture):
    for data in (images, (255 * images).astype("uint8"), 2 * images - 1):
        for options in ({}, {"use_guided_grads": False, "image_weight": 0.2}, {"colormap": 2}):
            got = GradCAM().explain((data, None), net, 1, "conv", **options)
            assert_same_picture(got, real("GradCAM", (data, None), net, 1, "conv", **options))
