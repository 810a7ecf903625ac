"""Logits kept while layers compute, checked on any backend against the layers called by hand."""

import keras
import numpy as np
import pytest

from keras_arch.explain.backend.activations import following

L = keras.layers
convert = keras.ops.convert_to_numpy
pytestmark = pytest.mark.backend
KINDS = {
    "activation": lambda name: [L.Dense(3, activation=name, name="head")],
    "layer": lambda name: [L.Dense(3, name="head"), L.Activation(name)],
    "softmax": lambda name: [L.Dense(3, name="head"), L.Softmax()],
    "nested": lambda name: [keras.Sequential([keras.Input((4,)), L.Dense(3, activation=name, name="head")])],
}


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_what_the_last_activation_was_given(rng, kind, name):
    model, x = keras.Sequential([keras.Input((4,)), *KINDS[kind](name)]), rng.normal(size=(2, 4)).astype("float32")
    kernel, bias = model.get_weights()
    with following(model, "logits") as choose:
        logits = choose(model(x))
    np.testing.assert_allclose(convert(logits), x @ kernel + bias, rtol=1e-5, atol=1e-6)
    with following(model, "probabilities") as choose:
        outputs = model(x)
        assert choose(outputs) is outputs


def test_a_linear_head_is_its_own_logits_and_has_no_probabilities(rng):
    model, x = keras.Sequential([keras.Input((4,)), L.Dense(3)]), rng.normal(size=(2, 4)).astype("float32")
    with following(model, "logits") as choose:
        outputs = model(x)
        assert choose(outputs) is outputs
    with (
        following(model, "probabilities") as choose,
        pytest.raises(ValueError, match="its probabilities cannot be told"),
    ):
        choose(model(x))


def test_the_model_is_as_before_also_after_an_error(rng):
    model, x = keras.Sequential([keras.Input((4,)), L.Dense(3, activation="softmax")]), np.ones((1, 4), "float32")
    dense = model.layers[0]
    with pytest.raises(RuntimeError, match="broken"), following(model, "logits"):
        raise RuntimeError("broken")
    assert dense.activation is keras.activations.softmax
    assert "call" not in vars(dense)
    np.testing.assert_allclose(convert(model(x)).sum(), 1, rtol=1e-6)
