"""Activations by name: ours and Keras's."""

import keras
import pytest

from keras_arch import activations

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("identifier", ["snake", "keras_arch>snake", activations.snake])
def test_our_names_give_our_function(identifier):
    assert activations.get(identifier) is activations.snake


def test_everything_else_is_as_in_keras():
    assert activations.get(None) is keras.activations.linear
    assert activations.get("gelu") is keras.activations.gelu
    layer = keras.layers.ReLU()
    assert activations.get(layer) is layer


@pytest.mark.parametrize("identifier", ["snake", "keras_arch>snake"])
def test_keras_layers_take_the_function_but_no_string(identifier):
    with pytest.raises(ValueError, match="Could not interpret activation function"):
        keras.layers.Dense(4, activation=identifier)
    assert keras.layers.Dense(4, activation=activations.get(identifier)).activation is activations.snake


@pytest.mark.parametrize("name", ["snake", "squared_relu", "lisht"])
def test_keras_still_lacks_it(name):
    assert not hasattr(keras.activations, name)


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="received identifier='snak'. Did you mean 'snake'"):
        activations.get("snak")
    with pytest.raises(ValueError, match="'lisht', 'snake', 'squared_relu', or one that Keras knows"):
        activations.get("get")
