"""Deletion in closed form on linear models, and against Xplique."""

import warnings

import keras
import numpy as np
import pytest

from keras_arch.explain import Attribution, IntegratedGradients
from keras_arch.explain.metrics import Deletion, deletion


def linear(weights):
    model = keras.Sequential([keras.Input((len(weights),)), keras.layers.Dense(1)])
    model.set_weights([np.array(weights, "float32")[:, None], np.array([2.0], "float32")])
    return model


@pytest.mark.backend
def test_a_linear_model_falls_by_its_largest_contributions_first():
    x = np.array([[1.0, 2.0, 1.0, -1.0]], "float32")  # contributions 1, 6, -2, 4
    model = linear([1.0, 3.0, -2.0, -4.0])
    got = deletion(model, IntegratedGradients().explain(model, x))
    np.testing.assert_allclose(got.curves, [[11, 5, 1, 0, 2]], atol=1e-5)
    np.testing.assert_allclose(got.values, [(11 / 2 + 5 + 1 + 0 + 2 / 2) / 4], atol=1e-5)
    np.testing.assert_allclose(got.fractions, [0, 0.25, 0.5, 0.75, 1])


@pytest.mark.backend
def test_no_order_has_a_smaller_area_on_a_linear_model(rng):
    weights = rng.normal(size=6)
    model, x = linear(weights), rng.normal(size=(1, 6)).astype("float32")
    best = deletion(model, IntegratedGradients().explain(model, x)).values
    for _ in range(20):
        values = rng.normal(size=(1, 6)).astype("float32")
        other = deletion(model, Attribution(values, x, None, None, np.zeros(1)))
        assert other.values >= best - 1e-5
    assert Deletion.direction == "lower"


@pytest.mark.oracle
@pytest.mark.parametrize("steps", [4, 8, 16])
def test_curves_equal_xplique(rng, steps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pytest.importorskip("xplique.metrics", reason="needs xplique")
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.Dense(5, activation="softmax")(keras.layers.Flatten()(inputs)))
    x = rng.normal(size=(6, 4, 4, 3)).astype("float32")
    values = rng.normal(size=(6, 4, 4, 1)).astype("float32")
    labels = np.arange(6) % 5
    got = Deletion(steps=steps, baseline=0.25).measure(model, Attribution(values, x, labels, None, np.zeros(6)))
    theirs = peer.Deletion(model, x, np.eye(5, dtype="float32")[labels], steps=steps, baseline_mode=0.25)
    np.testing.assert_allclose(got.curves.mean(axis=0), list(theirs.detailed_evaluate(values).values()), atol=1e-6)
    np.testing.assert_allclose(got.mean, theirs.evaluate(values), atol=1e-6)
