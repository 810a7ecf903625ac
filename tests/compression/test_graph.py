"""The graph of Sequential and functional models, read from their public config."""

import keras
import pytest

from keras_arch.compression.graph import graph_of


def test_a_functional_graph_knows_calls_consumers_and_outputs():
    inputs = keras.Input((4,), name="x")
    shared = keras.layers.Dense(4, name="shared")
    first = shared(inputs)
    added = keras.layers.Add(name="sum")([first, shared(first)])
    model = keras.Model(inputs, {"a": added, "b": first})
    graph = graph_of(model)
    assert [tensor.operation for call in graph.calls["shared"] for tensor in call] == ["x", "shared"]
    assert sorted(graph.consumers("shared", 0)) == ["shared", "sum"]
    assert graph.consumers("shared", 1) == ["sum"]
    assert graph.outputs == (("sum", 0, 0), ("shared", 0, 0))
    assert graph.is_output("shared", 0)
    assert not graph.is_output("shared", 1)
    assert graph.calls["sum"][0][0].shape == (None, 4)


def test_bare_operations_are_part_of_the_graph():
    inputs = keras.Input((4,), name="x")
    graph = graph_of(keras.Model(inputs, keras.layers.ReLU(name="end")(inputs + 1.0)))
    (operation,) = [name for name in graph.calls if name not in ("x", "end")]
    assert graph.calls["end"][0][0].operation == operation


def test_a_graph_knows_what_calls_were_given_beside_tensors():
    inputs = keras.Input((4,), name="x")
    drop = keras.layers.Dropout(0.5, name="drop")
    outputs = keras.layers.Add(name="sum")([drop(inputs, training=True), drop(inputs), inputs + 1.5])
    graph = graph_of(keras.Model(inputs, outputs))
    assert graph.options["drop"] == ((True,), ())
    assert graph.options["sum"] == ((),)
    assert (1.5,) in [calls[0] for name, calls in graph.options.items() if name not in ("x", "drop", "sum")]


def test_a_sequential_graph_is_a_chain():
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Conv2D(2, 3, name="c"), keras.layers.Flatten(name="f")]
    )
    graph = graph_of(model)
    assert graph.consumers("c") == ["f"]
    assert graph.calls["f"][0][0].shape == (None, 4, 4, 2)
    assert graph.outputs == (("f", 0, 0),)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize("model", [Subclassed, lambda: keras.layers.Dense(1), lambda: "model"])
def test_a_model_without_a_graph_is_refused(model):
    with pytest.raises(ValueError, match="it needs a graph; received a .*Rebuild it as keras.Model"):
        graph_of(model())


def test_a_sequential_model_without_a_shape_is_refused():
    with pytest.raises(ValueError, match="Begin it with keras.Input"):
        graph_of(keras.Sequential([keras.layers.Dense(1)]))
