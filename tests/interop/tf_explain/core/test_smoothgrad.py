"""Mean gradients of the cross-entropy over noise from NumPy's global state."""

import keras
import numpy as np
import pytest

from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.core.smoothgrad import SmoothGrad

pytestmark = pytest.mark.filterwarnings("ignore:.*follows tf-explain")


def test_the_gradient_of_the_cross_entropy_of_a_softmax(linear, images, assert_same_picture):
    """∂(-log p_k)/∂x = Σ_j (p_j - [j = k]) w_j."""
    scores, kernel = linear
    model = keras.Sequential([keras.Input((8, 8, 3)), *scores.layers, keras.layers.Softmax()])
    np.random.seed(7)  # noqa: NPY002
    got = SmoothGrad().explain((images, None), model, 2, num_samples=4, noise=0.3)
    np.random.seed(7)  # noqa: NPY002
    noisy = np.repeat(images, 4, axis=0)
    noisy = noisy + np.random.normal(0, 0.3, noisy.shape).astype("float32")  # noqa: NPY002
    p = keras.ops.convert_to_numpy(model(noisy))
    each = np.einsum("nj,hwcj->nhwc", p - np.eye(4)[2], kernel)
    assert_same_picture(
        got, pictures.tiled(pictures.standardized(each.reshape(3, 4, 8, 8, 3).mean(1).astype("float32")))
    )


def test_nothing_is_traced_twice(images):
    runs = []

    class Counting(keras.layers.Layer):
        def call(self, x):
            runs.append(1)
            return x

    model = keras.Sequential([keras.Input((8, 8, 3)), Counting(), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.add(keras.layers.Softmax())
    SmoothGrad().explain((images, None), model, 1)
    traced = len(runs)
    SmoothGrad().explain((images, None), model, 1)
    assert len(runs) == traced


def test_probabilities_of_classes_are_asked_for(images):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)])
    with pytest.raises(ValueError, match=r"model must return probabilities \(N, K\)"):
        SmoothGrad().explain((images, None), model, 0)


@pytest.mark.oracle
def test_the_picture_is_tf_explains(net, images, real, assert_same_picture):
    for options in ({}, {"num_samples": 3, "noise": 0.1}):
        np.random.seed(5)  # noqa: NPY002
        got = SmoothGrad().explain((images, None), net, 1, **options)
        assert_same_picture(got, real("SmoothGrad", (images, None), net, 1, seed=5, **options))
