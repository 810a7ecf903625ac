"""What is found out about the channels of whole graphs."""

import keras
import numpy as np
import pytest

from keras_arch.compression.graph import graph_of
from keras_arch.compression.pruning.shrinking.trace import INPUT, OUTPUT, Trace

pytestmark = pytest.mark.backend
L = keras.layers


def trace(outputs, inputs):
    return Trace(graph_of(keras.Model(inputs, outputs)))


def test_a_residual_sum_is_one_group():
    x = keras.Input((4, 2))
    first = L.Conv1D(3, 1, name="first")(x)
    second = L.Conv1D(3, 1, name="second")(L.ReLU()(first))
    found = trace(L.Dense(1, name="head")(L.Add()([first, second])), x)
    roots = [found.units.roots(found.outputs[name][0].units).tolist() for name in ("first", "second")]
    assert roots[0] == roots[1]
    assert found.untraced == {}
    assert found.units.fixed(found.outputs["first"][0].units).tolist() == [False] * 3
    assert found.units.reason(found.outputs["head"][0].units[0]) == OUTPUT
    assert found.units.reason(found.inputs["first"][0].units[0]) == INPUT


def test_constants_are_followed_through_a_chain():
    x = keras.Input((6, 2))
    hidden = L.Conv1D(2, 3, activation="relu", name="a")(x)
    hidden = L.MaxPooling1D(2)(hidden)
    hidden = L.Conv1D(2, 1, activation="sigmoid", name="b")(hidden)
    model = keras.Model(x, L.Dense(1, name="c")(L.Flatten()(hidden)))
    kernel = np.ones((3, 2, 2), "float32")
    kernel[..., 1] = 0.0
    model.get_layer("a").set_weights([kernel, np.array([0.0, 2.0])])
    model.get_layer("b").set_weights([np.array([[[1.0, 0.0], [1.0, 3.0]]]), np.array([0.0, -6.0])])
    found = Trace(graph_of(model))
    np.testing.assert_allclose(found.outputs["a"][0].values, [np.nan, 2.0])
    np.testing.assert_allclose(found.outputs["b"][0].values, [np.nan, 0.5])  # sigmoid(3 · 2 − 6)
    np.testing.assert_allclose(found.values_read("c"), [np.nan, 0.5] * 2)


def test_a_constant_beside_a_padded_border_varies_and_a_zero_does_not():
    x = keras.Input((6, 2))
    hidden = L.Conv1D(2, 1, kernel_initializer="zeros", name="a")(x)
    model = keras.Model(x, L.Conv1D(2, 3, padding="same", name="b")(hidden))
    model.get_layer("a").set_weights([np.zeros((1, 2, 2)), np.array([0.0, 2.0])])
    kernel = np.ones((3, 2, 2))
    kernel[:, 1, 1] = 0.0
    model.get_layer("b").set_weights([kernel, np.array([0.5, 0.25])])
    np.testing.assert_array_equal(Trace(graph_of(model)).outputs["b"][0].values, [np.nan, 0.25])


def test_a_layer_that_is_called_twice_has_one_set_of_channels():
    x, shared = keras.Input((4,)), L.Dense(3, name="shared")
    left, right = L.Dense(2, name="left")(x), L.Dense(2, name="right", kernel_initializer="zeros")(x)
    found = trace(L.Dense(1)(L.Concatenate()([shared(left), shared(right)])), x)
    roots = [found.units.roots(channels.units).tolist() for channels in found.inputs["shared"]]
    assert roots[0] == roots[1]
    assert found.outputs["shared"][0].units.tolist() == found.outputs["shared"][1].units.tolist()
    assert np.isnan(found.values_read("shared")).all(), "constant in one call only"
    assert found.outputs["shared"][1].constant.all()


def test_a_shared_layer_may_be_called_again_on_what_comes_of_it():
    x, shared = keras.Input((3,)), L.Dense(3, name="shared")
    found = trace(L.Dense(1)(shared(L.ReLU()(shared(x)))), x)
    assert found.units.reason(found.outputs["shared"][0].units[0]) == INPUT


@pytest.mark.parametrize(
    ("reader", "why"),
    [
        (lambda: L.LayerNormalization(name="n"), "LayerNormalization is not known to keep channels apart"),
        (lambda: L.Reshape((2, 2), name="n"), "it mixes channels with other axes"),
        (lambda: keras.Sequential([keras.Input((4,)), L.Dense(2)], name="n"), "it is a model inside the model"),
        (lambda: type("Odd", (L.Dense,), {})(2, name="n"), "Odd is not known"),
        (lambda: L.Activation("softmax", name="n"), "softmax may mix channels"),
    ],
)
def test_what_is_not_known_is_named_and_its_channels_stay(reader, why):
    x = keras.Input((3,))
    found = trace(L.Dense(1)(L.Flatten()(reader()(L.Dense(4, name="before")(x)))), x)
    assert why in found.untraced["n"]
    assert found.units.fixed(found.outputs["before"][0].units).all()
    assert found.units.reason(found.outputs["before"][0].units[0]) == f"'n' reads it, and {found.untraced['n']}"


def test_a_call_with_training_true_is_not_traced():
    x = keras.Input((3,))
    found = trace(L.Dense(1)(L.Dropout(0.5, name="always")(L.Dense(4)(x), training=True)), x)
    assert found.untraced == {"always": "it is called with True beside tensors"}


def test_a_softmax_keeps_the_units_of_its_own_layer_only():
    x = keras.Input((3,))
    found = trace(L.Dense(1)(L.Dense(4, "softmax", name="soft")(L.Dense(4, name="before")(x))), x)
    assert found.units.fixed(found.outputs["soft"][0].units).all()
    assert not found.units.fixed(found.outputs["before"][0].units).any()


def test_unknown_channels_are_not_traced():
    x = keras.Input((None, None))
    found = trace(
        L.Dense(1)(L.GlobalMaxPooling1D()(L.Dense(2)(keras.ops.reshape(L.Dropout(0.1, name="d")(x), (-1, 3, 2))))), x
    )
    assert "without an axis of channels of known size" in found.untraced["d"]
