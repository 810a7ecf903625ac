"""Taps change what a layer returns for the time of a block, and leave no trace of themselves."""

import threading

import keras
import numpy as np
import pytest

from keras_arch.core.tap import intercept, replaced, tap

pytestmark = pytest.mark.backend

L = keras.layers


def test_a_tap_reads_and_replaces_and_is_gone_afterwards():
    layer = L.Identity()
    seen = []

    def change(result):
        seen.append(keras.ops.convert_to_numpy(result))
        return result * 2

    with tap(layer, change):
        inside = layer(np.ones(3, "float32"))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(inside), 2)
    np.testing.assert_array_equal(seen, [np.ones(3)])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(np.ones(3, "float32"))), 1)
    assert "call" not in vars(layer)


def test_an_exception_restores_the_layer():
    layer = L.Identity()
    with pytest.raises(KeyError), tap(layer, lambda result: result + 1):
        raise KeyError
    assert "call" not in vars(layer)
    assert "quantized_call" not in vars(layer)


def test_a_call_that_was_already_replaced_comes_back():
    layer = L.Identity()

    def own(inputs):
        return inputs + 10

    object.__setattr__(layer, "call", own)
    with tap(layer, lambda result: result * 2):
        assert float(layer(np.ones((), "float32"))) == 22
    assert vars(layer)["call"] is own


def test_nested_taps_of_one_layer_apply_from_the_inside_out():
    layer = L.Identity()
    with tap(layer, lambda result: result + 1), tap(layer, lambda result: result * 10):
        assert float(layer(np.ones((), "float32"))) == 20


def test_a_quantized_layer_is_tapped_too():
    layer = L.Dense(2)
    layer.build((None, 3))
    layer.quantize("int8")
    with tap(layer, lambda result: result * 0):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(np.ones((1, 3), "float32"))), 0)


def test_another_thread_sees_the_plain_layer():
    layer, found = L.Identity(), []
    with tap(layer, lambda result: result + 1):
        other = threading.Thread(target=lambda: found.append(float(layer(np.ones((), "float32")))))
        other.start()
        other.join()
    assert found == [1.0]


def test_an_interception_sees_the_arguments_and_may_call_the_layer_again():
    layer = L.Dropout(0.5)
    seen = []

    def around(original, inputs, training=False):
        seen.append(training)
        return original(inputs, training=False) + original(inputs, training=False)

    with intercept(layer, around):
        got = layer(np.ones(3, "float32"), training=True)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(got), 2)
    assert seen == [True]
    assert "call" not in vars(layer)


def test_replaced_attributes_come_back_also_when_they_are_layers():
    layer = L.Dense(2, activation=L.ReLU())
    own, names = layer.activation, set(vars(layer))
    with replaced(layer, activation=abs, brought=1):
        assert layer.activation is abs
        assert layer.brought == 1
    with pytest.raises(KeyError), replaced(layer, activation=abs):
        raise KeyError
    assert layer.activation is own
    assert set(vars(layer)) == names
