"""Methods as values, and what they do with samples before anything is computed."""

import keras
import numpy as np
import pytest

from keras_arch.explain import GradCAM, IntegratedGradients
from keras_arch.explain.method import Method, as_inputs

METHODS = [
    IntegratedGradients(),
    IntegratedGradients(steps=7, rule="trapezoid", baseline=0.5, layer="embedding"),
    IntegratedGradients(baseline=np.arange(6.0).reshape(2, 3)),
    IntegratedGradients(baseline={"a": np.arange(3.0), "b": 1.0}),
    GradCAM(),
    GradCAM(layer="back/out", relu=False, interpolation=None, data_format="channels_first"),
]


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_method_survives_serialisation_printing_and_comparison(method):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(method))
    assert again == method
    assert hash(again) == hash(method)
    assert repr(again) == repr(method)
    assert [other for other in METHODS if other == method] == [method]
    assert keras.saving.serialize_keras_object(method)["registered_name"] == f"keras_arch>{type(method).__name__}"


def test_a_method_is_frozen_and_prints_what_differs_from_the_default():
    with pytest.raises(AttributeError):
        GradCAM().relu = False
    assert repr(METHODS[1]) == "IntegratedGradients(steps=7, baseline=0.5, rule='trapezoid', layer='embedding')"
    assert repr(METHODS[2]) == "IntegratedGradients(baseline=array(2, 3))"


def test_a_layer_object_is_stored_by_name():
    assert GradCAM(layer=keras.layers.Dense(1, name="head")).get_config()["layer"] == "head"


def test_a_method_without_attribute_says_so():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(NotImplementedError, match="must define attribute"):
        Method().explain(model, np.ones((1, 2)))


def one_input():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])


def two_inputs():
    a, b = keras.Input((2,)), keras.Input((3,), dtype="int32")
    return keras.Model([a, b], keras.layers.Concatenate()([a, keras.layers.Embedding(4, 1)(b)[..., 0]]))


def test_samples_come_as_lists_arrays_tensors_and_of_any_float_type():
    want = np.array([[1, 2], [3, 4]], "float32")
    for given in (want.tolist(), want.astype("float64"), want.astype("uint8"), keras.ops.convert_to_tensor(want)):
        got = as_inputs(one_input(), given)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(as_inputs(one_input(), list(want)), want)


def test_several_inputs_keep_structure_and_integers():
    got = as_inputs(two_inputs(), [np.ones((2, 2)), np.ones((2, 3), "int64")])
    assert isinstance(got, list)
    assert [part.dtype.kind for part in got] == ["f", "i"]


class Undeclared(keras.Model):
    def call(self, inputs):
        return inputs


def test_a_model_that_declares_nothing_takes_arrays_in_a_list_as_inputs():
    assert isinstance(as_inputs(Undeclared(), [np.ones((2, 2)), np.ones((2, 3))]), list)
    assert as_inputs(Undeclared(), [[1.0, 2.0]]).shape == (1, 2)


@pytest.mark.parametrize(
    ("model", "x", "match"),
    [
        (one_input, np.ones((0, 2)), r"x must hold at least one sample; received shape \(0, 2\)"),
        (one_input, np.ones(2), r"x must have the 2 axes of the model's input \(None, 2\), batch first"),
        (one_input, [[np.nan, 1.0]], "x must be finite"),
        (one_input, [[np.inf, 1.0]], "x must be finite"),
        (one_input, [["a", "b"]], "x must hold numbers"),
        (one_input, [[1.0], [1.0, 2.0]], "x must be an array of samples of one shape"),
        (two_inputs, [np.ones((2, 2))], "x must hold 2 arrays, one per input of the model; received 1"),
        (two_inputs, [np.ones((2, 2)), np.ones((3, 3))], r"equally many samples for every input; received \[2, 3\]"),
    ],
)
def test_samples_that_do_not_fit_are_named(model, x, match):
    with pytest.raises(ValueError, match=match):
        IntegratedGradients().explain(model(), x)


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match=r"model must be a keras.Model; received .*Dense"):
        GradCAM().explain(keras.layers.Dense(1), np.ones((1, 2)))


@pytest.mark.parametrize(("option", "value"), [("output", "softmax"), ("batch_size", 0)])
def test_bad_options_are_named(option, value):
    with pytest.raises(ValueError, match=f"{option} must be"):
        IntegratedGradients().explain(one_input(), np.ones((1, 2)), **{option: value})
