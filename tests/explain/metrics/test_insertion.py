"""Insertion in closed form on linear models, and against Xplique."""

import warnings

import keras
import numpy as np
import pytest

from keras_arch.explain import Attribution, IntegratedGradients
from keras_arch.explain.metrics import Blur, Insertion, insertion


@pytest.mark.backend
def test_a_linear_model_rises_by_its_largest_contributions_first():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.set_weights([np.array([[1.0], [3.0], [-2.0], [-4.0]], "float32"), np.array([2.0], "float32")])
    x = np.array([[1.0, 2.0, 1.0, -1.0]], "float32")  # contributions 1, 6, -2, 4
    got = insertion(model, IntegratedGradients().explain(model, x))
    np.testing.assert_allclose(got.curves, [[2, 8, 12, 13, 11]], atol=1e-5)
    np.testing.assert_allclose(got.values, [(2 / 2 + 8 + 12 + 13 + 11 / 2) / 4], atol=1e-5)
    assert Insertion.direction == "higher"


@pytest.mark.backend
def test_the_default_begins_at_a_blurred_input():
    assert Insertion().baseline == Blur(size=11, sigma=5.0)
    assert repr(Insertion()) == "Insertion()"


@pytest.mark.oracle
@pytest.mark.parametrize("steps", [4, 16])
def test_curves_equal_xplique(rng, steps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pytest.importorskip("xplique.metrics", reason="needs xplique")
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.Dense(5, activation="softmax")(keras.layers.Flatten()(inputs)))
    x = rng.normal(size=(6, 4, 4, 3)).astype("float32")
    values = rng.normal(size=(6, 4, 4, 1)).astype("float32")
    labels = np.arange(6) % 5
    metric = Insertion(steps=steps, baseline=0.25)
    got = metric.measure(model, Attribution(values, x, labels, None, np.zeros(6)))
    theirs = peer.Insertion(model, x, np.eye(5, dtype="float32")[labels], steps=steps, baseline_mode=0.25)
    np.testing.assert_allclose(got.curves.mean(axis=0), list(theirs.detailed_evaluate(values).values()), atol=1e-6)
    np.testing.assert_allclose(got.mean, theirs.evaluate(values), atol=1e-6)
