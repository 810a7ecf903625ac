"""The graph of a model with the models inside it opened up, so that channels can be followed through them."""

import dataclasses
from collections import Counter

import keras

from keras_arch.compression.graph import Graph, Tensor, graph_of
from keras_arch.core.walk import walk


@dataclasses.dataclass(frozen=True)
class OpenGraph(Graph):
    """A graph in which models inside have given way to their operations.

    Args:
        opened: name of each such model to the tensors it takes.
    """

    opened: dict[str, tuple[Tensor, ...]]


def open_graph(model: keras.Model) -> OpenGraph:
    """The graph of a model where each inner model has given way to its own operations, named "inner/layer".

    An inner model stays closed, as one operation, if it is called several times or with options, if it has no graph,
    or if a layer of it is used elsewhere too.

    Args:
        model: a built Sequential or functional model.
    Raises:
        ValueError: for a model without a graph.

    >>> from keras_arch.compression.nesting import open_graph
    >>> inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="body")], name="inner")
    >>> list(open_graph(keras.Sequential([keras.Input((2,)), inner, keras.layers.Dense(1, name="head")])).calls)
    ['', 'inner/body', 'head']
    """
    graph = OpenGraph(**vars(graph_of(model)), opened={})
    for name in [name for name, operation in graph.operations.items() if isinstance(operation, keras.Model)]:
        if len(graph.calls[name]) == 1 and not any(graph.options[name]):
            graph = _opened(graph, name)
    return graph


def _opened(graph: OpenGraph, name: str) -> OpenGraph:
    """The graph with one inner model replaced; the graph as it was where that cannot be."""
    model, [given] = graph.operations[name], graph.calls[name]
    try:
        inner = open_graph(model)
    except ValueError:  # no graph
        return graph
    uses = Counter(id(layer) for layer in graph.operations.values() if layer is not model)
    uses.update(id(layer) for _, layer in walk(model))
    entries = _entries(model, inner)
    if any(uses[id(layer)] > 1 for _, layer in walk(model)) or len(entries) != len(given):
        return graph
    sources = dict(zip(entries, given, strict=True))
    exits = [
        _reached(Tensor(*reference, shape=()), name, sources) for reference in inner.outputs
    ]  # a model may return what it takes

    def within(tensor: Tensor) -> Tensor:
        reached = _reached(tensor, name, sources)
        return dataclasses.replace(reached, shape=tensor.shape)

    def outside(tensor: Tensor) -> Tensor:
        if tensor.operation != name:
            return tensor
        return dataclasses.replace(exits[tensor.position], shape=tensor.shape)

    operations, calls, options = {}, {}, {}
    for each, operation in graph.operations.items():
        if each == name:
            for part, layer in inner.operations.items():
                if part not in sources:
                    operations[f"{name}/{part}"] = layer
                    calls[f"{name}/{part}"] = tuple(tuple(map(within, call)) for call in inner.calls[part])
                    options[f"{name}/{part}"] = inner.options[part]
        else:
            operations[each] = operation
            calls[each] = tuple(tuple(map(outside, call)) for call in graph.calls[each])
            options[each] = graph.options[each]
    outputs = [outside(Tensor(*reference, shape=())) for reference in graph.outputs]
    exits = tuple((tensor.operation, tensor.call, tensor.position) for tensor in outputs)
    opened = {each: tuple(map(outside, tensors)) for each, tensors in graph.opened.items()}
    opened |= {f"{name}/{each}": tuple(map(within, tensors)) for each, tensors in inner.opened.items()}
    return OpenGraph(operations, calls, exits, options, {**opened, name: tuple(map(outside, given))})


def _entries(model: keras.Model, inner: Graph) -> list[str]:
    """Names of the operations that stand for the inputs of a model, in their order."""
    if isinstance(model, keras.Sequential):
        return [""]
    by_tensor = {id(layer.output): name for name, layer in inner.operations.items() if _is_input(layer)}
    return [by_tensor[id(tensor)] for tensor in keras.tree.flatten(model.input) if id(tensor) in by_tensor]


def _is_input(layer: object) -> bool:
    return isinstance(layer, keras.layers.InputLayer)


def _reached(tensor: Tensor, name: str, sources: dict[str, Tensor]) -> Tensor:
    """A tensor of the inner graph as the outer one calls it."""
    if tensor.operation in sources:
        return sources[tensor.operation]
    return dataclasses.replace(tensor, operation=f"{name}/{tensor.operation}")
