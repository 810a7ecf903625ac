"""Opened graphs against the flat models that compute the same."""

import keras

from keras_arch.compression.nesting import open_graph

L = keras.layers


def inner(name="inner"):
    inputs = [keras.Input((4,), name="a"), keras.Input((3,), name="b")]
    first, second = L.Dense(2, name="first")(inputs[0]), L.Dense(2, name="second")(inputs[1])
    return keras.Model(inputs, [L.Add(name="sum")([first, second]), inputs[0]], name=name)


def sources(graph, name):
    return [tensor.operation for call in graph.calls[name] for tensor in call]


def test_tensors_come_from_where_they_are_made():
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    before = L.Dense(4, name="before")(left)
    total, passed = inner()([before, right])
    graph = open_graph(keras.Model([left, right], [L.Dense(1, name="head")(total), L.ReLU(name="relu")(passed)]))
    assert "inner" not in graph.operations
    assert sources(graph, "inner/first") == ["before"]
    assert sources(graph, "inner/second") == ["right"]
    assert sources(graph, "inner/sum") == ["inner/first", "inner/second"]
    assert sources(graph, "head") == ["inner/sum"]
    assert sources(graph, "relu") == ["before"], "the inner model returns what it takes"
    assert [tensor.operation for tensor in graph.opened["inner"]] == ["before", "right"]


def test_models_inside_models():
    deep = keras.Sequential([keras.Input((3,)), L.Dense(2, name="body")], name="deep")
    middle = keras.Sequential([keras.Input((3,)), deep, L.ReLU(name="relu")], name="middle")
    graph = open_graph(keras.Sequential([keras.Input((3,)), middle, L.Dense(1, name="head")]))
    assert list(graph.calls) == ["", "middle/deep/body", "middle/relu", "head"]
    assert sources(graph, "middle/deep/body") == [""]
    assert [tensor.operation for tensor in graph.opened["middle/deep"]] == [""]


def test_an_output_of_the_model_may_be_one_of_the_inner():
    x = keras.Input((4,)), keras.Input((3,))
    graph = open_graph(keras.Model(x, inner()(list(x))))
    assert graph.outputs[0] == ("inner/sum", 0, 0)


def test_what_is_shared_stays_closed():
    x = keras.Input((4,)), keras.Input((3,))
    shared = inner()
    twice = keras.Model(x, L.Add()([shared(list(x))[0], shared(list(x))[0]]))
    assert "inner" in open_graph(twice).operations
    part = inner()
    also = part.get_layer("first")(x[0])
    assert "inner" in open_graph(keras.Model(x, [part(list(x))[0], also])).operations


def test_a_model_without_a_graph_stays_closed():
    class Own(keras.Model):
        def call(self, x):
            return x

    x = keras.Input((4,))
    assert "own" in open_graph(keras.Model(x, Own(name="own")(x))).operations
