"""Rebuilding a model from copies of its layers."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np


def copy_of(layer: keras.Layer, **changes: Any) -> keras.Layer:
    """A fresh layer of the same settings, without weights.

    Args:
        layer: the layer to copy.
        **changes: settings that differ, as its `get_config` names them; "cell.units" is the setting `units` of the
            layer that the setting `cell` holds.

    >>> copy_of(keras.layers.Dense(4, name="head"), units=2).get_config()["units"]
    2
    >>> layer = keras.layers.RNN(keras.layers.LSTMCell(4))
    >>> copy_of(layer, **{"cell.units": 2}).cell.units
    2
    """
    config = layer.get_config()
    for name, value in changes.items():
        outer, _, inner = name.partition(".")
        if inner:  # the shape it was built with goes: a smaller layer takes others
            held = {part: given for part, given in config[outer].items() if part != "build_config"}
            value = {**held, "config": {**held["config"], inner: value}}
        config[outer] = value
    return type(layer).from_config(config)


def clone(
    model: keras.Model,
    copy: Callable[[Any], Any],
    shapes: Sequence[tuple[int | None, ...]] | None = None,
    call: Callable[..., Any] | None = None,
) -> keras.Model:
    """Rebuild a model from copies of its layers, not compiled: a loss that cannot be serialised does no harm.

    Args:
        model: a built Sequential or functional model.
        copy: maps each layer to its copy, and each bare operation to one that may be called again.
        shapes: of its inputs, the batch included, in the order of `keras.tree.flatten`; None for those it has.
        call: `(copied, *args, **kwargs) -> outputs`, calls each copy of a functional model on symbolic tensors, and
            may call something else in its place; None for `copied(...)`.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="head")])
    >>> clone(model, copy_of).layers[0].name
    'head'
    """
    if isinstance(model, keras.Sequential):
        shape = shapes[0] if shapes else model.input_shape
        inputs = keras.Input(batch_shape=shape, dtype=model.inputs[0].dtype, name=model.inputs[0].name)
        return keras.Sequential([inputs, *(copy(layer) for layer in model.layers)], name=model.name)
    # `clone_model` copies how a model is compiled; this view of the same graph is not. Left alone it names input layers
    # after their tensors.
    view = keras.Model(model.input, model.output, name=model.name)
    entries = {id(layer.output): layer for layer in view.layers if isinstance(layer, keras.layers.InputLayer)}
    wanted = iter(shapes or [tensor.shape for tensor in keras.tree.flatten(view.input)])
    inputs = keras.tree.map_structure(
        lambda tensor: copy_of(entries[id(tensor)], batch_shape=next(wanted)).output, view.input
    )
    return keras.models.clone_model(view, input_tensors=inputs, clone_function=copy, call_function=call)


def fill(copied: keras.Layer, original: keras.Layer, weights: Sequence[np.ndarray]) -> None:
    """Set the weights of a copy, or say which layer has a config that does not describe it.

    Args:
        copied: the copy.
        original: the layer it was copied from.
        weights: values in the order of `original.weights`.
    Raises:
        ValueError: if the copy has another number of weights.

    >>> layer, copied = keras.layers.Dense(1), keras.layers.Dense(1)
    >>> layer.build((None, 1)), copied.build((None, 1))
    (None, None)
    >>> fill(copied, layer, [np.full((1, 1), 3.0), np.zeros(1)])
    >>> float(copied.kernel[0, 0])
    3.0
    """
    if len(weights) != len(copied.weights):
        kind = f"{type(original).__module__}.{type(original).__qualname__}"
        raise ValueError(
            f"model must have layers that their get_config describes; layer {original.name!r} ({kind}) has "
            f"{len(weights)} weights, its copy {len(copied.weights)}. "
            "Complete its get_config, or merge its LoRA weights first."
        )
    copied.set_weights(weights)
