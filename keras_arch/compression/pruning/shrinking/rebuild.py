"""Building the smaller model."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_arch.compression.clone import clone, copy_of, fill
from keras_arch.compression.graph import Tensor
from keras_arch.compression.pruning.shrinking.gating import Gating
from keras_arch.compression.pruning.shrinking.mixing import Mixing
from keras_arch.compression.pruning.shrinking.removal import Removal
from keras_arch.core.gated_channels import GatedChannels
from keras_arch.core.inner_channels import InnerChannels, inner_channels_of


def smaller(model: keras.Model, removal: Removal) -> keras.Model:
    """Copy a model without the channels that go; not compiled, layer names and stock layers as they were.

    Args:
        model: the model that was traced.
        removal: what goes.
    Raises:
        ValueError: if a layer's config does not describe its weights.
    """
    graph = removal.trace.graph
    opened = getattr(graph, "opened", {})
    copies: dict[str, tuple[keras.Layer, list[np.ndarray]]] = {}

    def copier(prefix: str) -> Callable[[Any], Any]:
        def copy(operation: Any) -> Any:
            if not isinstance(operation, keras.Layer):
                return operation
            name = prefix + operation.name
            if name in opened:
                return clone(operation, copier(f"{name}/"), [_shape_left(tensor, removal) for tensor in opened[name]])
            changes, weights = cut(name, operation, removal)
            copies[name] = copy_of(operation, **changes), weights
            if name in removal.trace.rules and weights:
                (tensor, *_) = graph.calls[name][0]
                channels = int(removal.kept(removal.trace.inputs[name][0]).sum())
                with _plain_initializers(copies[name][0]):
                    copies[name][0].build((*tensor.shape[:-1], channels))
            return copies[name][0]

        return copy

    small = clone(model, copier(""))
    for name, (copied, weights) in copies.items():
        fill(copied, graph.operations[name], weights)
    return small


def _shape_left(tensor: Tensor, removal: Removal) -> tuple[int | None, ...]:
    """Shape of a tensor of the graph in the smaller model."""
    channels = removal.trace.tensors[tensor.operation, tensor.call, tensor.position]
    return (*tensor.shape[:-1], int(removal.kept(channels).sum())) if channels.size else tensor.shape


def cut(name: str, layer: keras.Layer, removal: Removal) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Changes of a layer's config, and its weights without the channels that go.

    Args:
        name: of the layer in the graph that was traced.
        layer: a layer of the model that was traced.
        removal: what goes.
    """
    rule = removal.trace.rules.get(name)
    if rule is None:
        return _cut_inside(layer)
    inputs = removal.kept(removal.trace.inputs[name][0])
    if isinstance(rule, Gating):
        return _cut_inside(layer, rule.gated, inputs)
    if isinstance(rule, Mixing):
        return rule.cut(inputs, removal.kept(removal.trace.outputs[name][0]), removal.shift(name))
    return rule.changes(inputs), rule.cut(inputs)


def inner_kept(inner: InnerChannels) -> np.ndarray:
    """Bool array: which inner channels of a layer stay, one at least.

    Args:
        inner: channels or heads.
    """
    kept = ~inner.dead()
    kept[0] |= not kept.any()
    return kept


def _cut_inside(
    layer: keras.Layer, gated: GatedChannels | None = None, passing: np.ndarray | None = None
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Of a layer's weights what is left without the channels and heads that die inside it, and without those it weighs.

    Inputs and outputs stay all, or those of `gated` that are `passing`.
    """
    changes: dict[str, Any] = {}
    counts: dict[str, int] = {}
    weights = {id(weight): weight.numpy() for weight in layer.weights}
    if gated is not None and not passing.all():
        changes |= gated.config
        for variable, axis in gated.slices:
            weights[id(variable)] = np.compress(passing, weights[id(variable)], axis=axis)
    for inner in inner_channels_of(layer):
        kept = inner_kept(inner)
        if kept.all():
            continue
        changes |= inner.config
        counts |= inner.counts(int(kept.sum()))
        for place, (variable, axis) in enumerate(inner.slices):
            weights[id(variable)] = np.compress(inner.along(place, kept), weights[id(variable)], axis=axis)
    return changes | counts, list(weights.values())


@contextlib.contextmanager
def _plain_initializers(layer: keras.Layer) -> Iterator[None]:
    """Build with zeros: an initializer may refuse the smaller shape, and its values would be overwritten anyway."""
    own = {name: value for name, value in vars(layer).items() if name.endswith("_initializer")}
    for name in own:
        setattr(layer, name, keras.initializers.Zeros())
    yield
    for name, initializer in own.items():
        setattr(layer, name, initializer)
