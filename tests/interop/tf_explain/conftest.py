"""Models and images for the interface of tf-explain, and tf-explain itself."""

import importlib
import warnings

import keras
import numpy as np
import pytest

from keras_arch.interop.tf_explain import explainer

L = keras.layers


@pytest.fixture(autouse=True)
def _warn_again():
    """Each test hears the warnings that are given once."""
    explainer._warn_once.cache_clear()


@pytest.fixture
def images(rng):
    return rng.random((3, 8, 8, 3)).astype("float32")


@pytest.fixture
def linear():
    """Scores are linear in the image: (model, kernel (8, 8, 3, classes))."""
    keras.utils.set_random_seed(0)
    dense = L.Dense(4, bias_initializer="random_normal")
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Flatten(), dense])
    return model, keras.ops.convert_to_numpy(dense.kernel).reshape(8, 8, 3, 4)


@pytest.fixture
def net():
    """A small convolutional classifier that ends in an activation."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    maps = L.Conv2D(5, 3, activation="relu", bias_initializer="random_normal", name="conv")(inputs)
    scores = L.Dense(4, bias_initializer="random_normal")(L.Flatten()(maps))
    return keras.Model(inputs, L.Softmax()(scores))


@pytest.fixture
def real():
    """Function from the name of a class of tf_explain.core and the arguments of its `explain` to its picture."""
    pytest.importorskip("cv2", reason="needs the extra keras-arch[interop]")
    pytest.importorskip("tf_explain", reason="needs the extra keras-arch[interop]")

    def explain(name, *args, seed=0, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            core = importlib.import_module("tf_explain.core")
            np.random.seed(seed)  # noqa: NPY002 it draws from there
            return getattr(core, name)().explain(*args, **kwargs)

    return explain


@pytest.fixture
def assert_same_picture():
    """Asserts that two pictures are equal, but for a few pixels at the edge of a rounding."""

    def check(got, want):
        assert got.shape == want.shape
        assert got.dtype == want.dtype == np.uint8
        difference = np.abs(got.astype(int) - want.astype(int))
        difference = np.minimum(difference, 256 - difference)
        assert (difference == 0).mean() > 0.98
        assert difference.max() <= 3

    return check
