"""Twins of models of every kind compute the same, until their own weights change."""

import keras
import numpy as np
import pytest
from conformance.zoo import ZOO

from keras_arch.core import walk
from keras_arch.explain import IntegratedGradients
from keras_arch.explain.metrics.twin import Twin

pytestmark = pytest.mark.backend


def arrays(model, x):
    return [keras.ops.convert_to_numpy(part) for part in keras.tree.flatten(model(x, training=False))]


@pytest.mark.parametrize("kind", ZOO)
def test_a_twin_of_any_model_computes_the_same_until_its_weights_change(kind):
    case = ZOO[kind]()
    want = arrays(case.model, case.x)
    twin = Twin(case.model)
    for got, part in zip(arrays(twin, case.x), want, strict=True):
        np.testing.assert_allclose(got, part, rtol=1e-5)
    for weight in case.model.weights:
        twin.weight_of(weight).assign(keras.ops.zeros(weight.shape))
    for got, part, before in zip(arrays(twin, case.x), arrays(case.model, case.x), want, strict=True):
        assert len(np.unique(got)) == 1
        np.testing.assert_array_equal(part, before)


def test_layers_keep_their_paths():
    case = ZOO["nested"]()
    twin = Twin(case.model)
    assert [path for path, _ in walk.walk(twin)] == [path for path, _ in walk.walk(case.model)]
    assert walk.locate(twin, "features") == walk.locate(case.model, "features")


def test_what_is_compiled_for_a_twin_sees_its_weights_change(rng):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    twin, x = Twin(model), rng.normal(size=(2, 3)).astype("float32")
    explain = IntegratedGradients().explain
    np.testing.assert_array_equal(explain(twin, x).values, explain(model, x).values)
    before = explain(model, x).values
    twin.weight_of(model.layers[0].kernel).assign([[1.0], [2.0], [3.0]])
    np.testing.assert_allclose(explain(twin, x).values, x * [1, 2, 3], rtol=1e-5)
    np.testing.assert_array_equal(explain(model, x).values, before)


def test_logits_of_a_twin_are_found(rng):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(4)(inputs)))
    x = rng.normal(size=(2, 3)).astype("float32")
    for output in ("logits", "probabilities"):
        ours, theirs = (IntegratedGradients().explain(one, x, output=output).scores for one in (Twin(model), model))
        np.testing.assert_array_equal(ours, theirs)
