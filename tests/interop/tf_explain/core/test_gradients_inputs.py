"""Gradients times inputs: those of linear scores are the kernel times the image."""

import keras
import pytest

from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.core.gradients_inputs import GradientsInputs

pytestmark = pytest.mark.filterwarnings("ignore:.*follows tf-explain")


def test_the_image_multiplies_the_kernel(linear, images, assert_same_picture):
    scores, kernel = linear
    model = keras.Sequential([keras.Input((8, 8, 3)), *scores.layers, keras.layers.Softmax()])
    want = pictures.tiled(pictures.standardized(images * kernel[..., 2]))
    assert_same_picture(GradientsInputs().explain((images, None), model, 2), want)


@pytest.mark.oracle
def test_the_picture_is_tf_explains(net, images, real, assert_same_picture):
    got = GradientsInputs().explain((images, None), net, 1)
    assert_same_picture(got, real("GradientsInputs", (images, None), net, 1))
