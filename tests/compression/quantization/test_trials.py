"""What layers do is told by their values."""

import keras
import pytest

from keras_arch.compression.quantization.trials import (
    is_elementwise,
    is_joining,
    is_one_product,
    moves_values,
    recognise,
    separates_activation,
)

L = keras.layers


@pytest.mark.parametrize(
    ("layer", "moves"),
    [
        (L.MaxPooling2D(2), True),
        (L.Flatten(), True),
        (L.Reshape((-1, 3)), True),
        (L.Permute((2, 1, 3)), True),
        (L.ZeroPadding2D(1), True),
        (L.Cropping2D(1), True),
        (L.UpSampling2D(2), True),
        (L.Dropout(0.5), True),
        (L.GaussianNoise(1.0), True),
        (L.GlobalMaxPooling2D(), True),
        (L.Activation("linear"), True),
        (L.AveragePooling2D(2), False),
        (L.UpSampling2D(2, interpolation="bilinear"), False),
        (L.ReLU(), False),
        (L.Activation("tanh"), False),
        (L.Rescaling(2.0), False),
        (L.LeakyReLU(), False),
        (L.BatchNormalization(), False),
    ],
)
def test_layers_that_move_values_are_told_by_their_values(layer, moves):
    built = layer.built
    assert moves_values(layer, (None, 6, 6, 3)) is moves
    assert layer.built is built, "the user's own layer was built"


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (L.ReLU(), "relu"),
        (L.ReLU(max_value=6), "relu6"),
        (L.Activation("relu"), "relu"),
        (L.Softmax(), "softmax"),
        (keras.activations.sigmoid, "sigmoid"),
        (lambda x: keras.ops.maximum(x, 0), "relu"),
        (keras.activations.tanh, "tanh"),
        (keras.activations.gelu, None),
        (L.LeakyReLU(), None),
        (L.ReLU(threshold=1.0), None),
    ],
)
def test_activations_are_told_by_their_values(function, name):
    assert recognise(function, (None, 5)) == name


def test_only_activations_at_the_end_of_a_layer_separate():
    assert separates_activation(L.Conv2D(2, 3, activation="tanh"), (None, 5, 5, 1))
    assert not separates_activation(L.LSTM(2, activation="tanh"), (None, 5, 3))


@pytest.mark.parametrize(
    ("operation", "elementwise", "joining"),
    [(L.Add(), True, False), (L.Multiply(), True, False), (L.Concatenate(), False, True), (L.Dot(1), False, False)],
)
def test_operations_on_two_tensors_are_told_by_their_values(operation, elementwise, joining):
    assert is_elementwise(operation) is elementwise
    assert is_joining(operation) is joining


def test_products_are_told_from_other_layers():
    assert is_one_product(L.DepthwiseConv2D(3, activation="relu"), (None, 6, 6, 2))
    assert not is_one_product(L.GRU(2), (None, 4, 3))


def test_bare_operations_are_tried_as_they_are():
    x = keras.Input((3, 4))
    operation = keras.ops.transpose(x, (0, 2, 1))._keras_history.operation
    assert moves_values(operation, (None, 3, 4))
    assert not moves_values(keras.ops.exp(x)._keras_history.operation, (None, 3, 4))
    assert is_elementwise((x + x)._keras_history.operation)
