"""Mean gradients on the way from black, without the way."""

import keras
import pytest

from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.core.integrated_gradients import IntegratedGradients

pytestmark = pytest.mark.filterwarnings("ignore:.*follows tf-explain")


@pytest.mark.parametrize("steps", [2, 5, 10])
def test_mean_gradient_of_a_polynomial(rng, images, assert_same_picture, steps):
    """f = Σ w x² + v x: the gradient at s x is 2 w s x + v, and the mean of s = i / (n - 1) is 1/2."""
    w, v = rng.normal(size=(2, 2, 8, 8, 3)).astype("float32")
    inputs = keras.Input((8, 8, 3))
    scores = [keras.ops.sum(inputs * inputs * w[k] + inputs * v[k], axis=(1, 2, 3)) for k in range(2)]
    model = keras.Model(inputs, keras.ops.stack(scores, axis=-1))
    for k in range(2):
        got = IntegratedGradients().explain((images, None), model, k, n_steps=steps)
        assert_same_picture(got, pictures.tiled(pictures.standardized(w[k] * images + v[k])))


def test_one_step_is_refused(linear, images):
    with pytest.raises(ValueError, match="n_steps must be an integer >= 2"):
        IntegratedGradients().explain((images, None), linear[0], 0, n_steps=1)


@pytest.mark.oracle
def test_the_picture_is_tf_explains(net, images, real, assert_same_picture):
    for options in ({}, {"n_steps": 4}):
        got = IntegratedGradients().explain((images, None), net, 1, **options)
        assert_same_picture(got, real("IntegratedGradients", (images, None), net, 1, **options))
