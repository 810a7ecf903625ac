"""Building the smaller model."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_arch.compression.clone import clone, copy_of, fill
from keras_arch.compression.pruning.shrinking.mixing import Mixing
from keras_arch.compression.pruning.shrinking.removal import Removal


def smaller(model: keras.Model, removal: Removal) -> keras.Model:
    """Copy a model without the channels that go; not compiled, layer names and stock layers as they were.

    Args:
        model: the model that was traced.
        removal: what goes.
    Raises:
        ValueError: if a layer's config does not describe its weights.
    """
    graph = removal.trace.graph
    copies: dict[str, tuple[keras.Layer, list[np.ndarray]]] = {}

    def copy(operation: Any) -> Any:
        if not isinstance(operation, keras.Layer):
            return operation
        name = operation.name
        changes, weights = cut(operation, removal)
        copies[name] = copy_of(operation, **changes), weights
        if name in removal.trace.rules and weights:
            (tensor, *_) = graph.calls[name][0]
            channels = int(removal.kept(removal.trace.inputs[name][0]).sum())
            with _plain_initializers(copies[name][0]):
                copies[name][0].build((*tensor.shape[:-1], channels))
        return copies[name][0]

    small = clone(model, copy)
    for name, (copied, weights) in copies.items():
        fill(copied, graph.operations[name], weights)
    return small


def cut(layer: keras.Layer, removal: Removal) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Changes of a layer's config, and its weights without the channels that go.

    Args:
        layer: a layer of the model that was traced.
        removal: what goes.
    """
    rule = removal.trace.rules.get(layer.name)
    if rule is None:
        return {}, layer.get_weights()
    inputs = removal.kept(removal.trace.inputs[layer.name][0])
    if isinstance(rule, Mixing):
        outputs = removal.kept(removal.trace.outputs[layer.name][0])
        return rule.cut(inputs, outputs, removal.shift(layer.name))
    return {}, rule.cut(inputs)


@contextlib.contextmanager
def _plain_initializers(layer: keras.Layer) -> Iterator[None]:
    """Build with zeros: an initializer may refuse the smaller shape, and its values would be overwritten anyway."""
    own = {name: value for name, value in vars(layer).items() if name.endswith("_initializer")}
    for name in own:
        setattr(layer, name, keras.initializers.Zeros())
    yield
    for name, initializer in own.items():
        setattr(layer, name, initializer)
