"""Taps change what a layer returns for the time of a block, and leave no trace of themselves."""

import threading

import keras
import numpy as np
import pytest

from keras_arch.explain.tap import survey, tap

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


class Reversed(keras.Model):
    """Runs its layers in the opposite order of their creation."""

    def __init__(self):
        super().__init__()
        self.late = L.Dense(2, name="late")
        self.early = L.Dense(3, name="early")

    def call(self, inputs):
        return self.late(self.early(inputs))


def test_a_survey_lists_layers_in_the_order_they_ran_and_knows_the_output():
    found = survey(Reversed(), keras.ops.ones((2, 4)))
    assert [(visit.path, visit.shape, visit.is_output) for visit in found.visits] == [
        ("early", (2, 3), False),
        ("late", (2, 2), True),
    ]


def test_a_tensor_handed_on_belongs_to_the_layer_that_made_it():
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3, name="maker")], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, L.Dropout(0.5), L.Dense(2, name="head")])
    assert [visit.path for visit in survey(model, keras.ops.ones((1, 4))).visits] == ["inner/maker", "head"]


def test_a_survey_describes_the_outputs_in_their_structure():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"a": L.Dense(3)(inputs), "b": [L.Dense(1)(inputs)]})
    outputs = survey(model, keras.ops.ones((2, 4))).outputs
    assert outputs["a"].shape == (2, 3)
    assert outputs["b"][0].shape == (2, 1)
    assert outputs["a"].dtype == "float32"
