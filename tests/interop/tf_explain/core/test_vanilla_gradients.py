"""Vanilla gradients: those of linear scores are the kernel, before a last activation."""

import keras
import numpy as np
import pytest

from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.core.vanilla_gradients import VanillaGradients

pytestmark = pytest.mark.filterwarnings("ignore:.*follows tf-explain")


def test_the_activation_at_the_end_is_left_out(linear, images, assert_same_picture):
    scores, kernel = linear
    model = keras.Sequential([keras.Input((8, 8, 3)), *scores.layers, keras.layers.Softmax()])
    want = pictures.tiled(pictures.standardized(np.repeat(kernel[None, ..., 2], 3, axis=0)))
    assert_same_picture(VanillaGradients().explain((images, None), model, 2), want)
    assert_same_picture(VanillaGradients().explain_score_model((images, None), scores, 2), want)


def test_a_model_without_one_is_warned_of_and_differentiated_as_it_is(linear, images, assert_same_picture):
    model, kernel = linear
    with pytest.warns(UserWarning, match="model should end in an activation layer of its own"):
        got = VanillaGradients().explain((images, None), model, 1)
    assert_same_picture(got, pictures.tiled(pictures.standardized(np.repeat(kernel[None, ..., 1], 3, axis=0))))


@pytest.mark.oracle
def test_the_picture_is_tf_explains(net, images, real, assert_same_picture):
    for index in (0, 3):
        got = VanillaGradients().explain((images, None), net, index)
        assert_same_picture(got, real("VanillaGradients", (images, None), net, index))


@pytest.mark.oracle
def test_row_zero_of_a_segmentation_is_tf_explains(rng, real, assert_same_picture):
    layers = [keras.layers.Conv2D(3, 3, activation="tanh"), keras.layers.Conv2D(2, 1), keras.layers.Softmax()]
    model, x = keras.Sequential([keras.Input((8, 8, 1)), *layers]), rng.random((2, 8, 8, 1)).astype("float32")
    assert_same_picture(VanillaGradients().explain((x, None), model, 0), real("VanillaGradients", (x, None), model, 0))
