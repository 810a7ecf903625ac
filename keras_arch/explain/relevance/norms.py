"""Layers that are linear once their statistics are taken as constants, and how relevance goes through them."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_arch.explain.relevance.ledger import wide

L = keras.layers
# Layers of ours that multiply each number by a factor of the whole input, known by their registered names.
_OURS = ("keras_arch>GlobalResponseNormalization",)


def is_norm(layer: keras.Layer) -> bool:
    """Whether `norm_part` knows the layer.

    >>> is_norm(keras.layers.LayerNormalization()), is_norm(keras.layers.BatchNormalization())
    (True, False)
    """
    known = (L.LayerNormalization, L.GroupNormalization, L.RMSNormalization, L.UnitNormalization)
    return isinstance(layer, known) or keras.saving.get_registered_name(type(layer)) in _OURS


def norm_part(layer: keras.Layer, result: Any, x: Any) -> Any:
    """What the inputs answer for in the output of a norm, with its scale as a constant.

    Layer and group normalization: (x - mean) · γ / σ, linear in x because the mean is. Others: x times a factor.

    Args:
        layer: one that `is_norm`.
        result: its output.
        x: its input.
    Source: Ali et al. 2022, arXiv:2202.07304, section 3.2.
    """
    x = wide(x)
    beta = getattr(layer, "beta", None)
    if isinstance(layer, L.GroupNormalization):
        return _grouped(layer, x)
    if isinstance(layer, L.LayerNormalization) and not layer.rms_scaling:
        axis = layer.axis
        centred = x - ops.mean(x, axis=axis, keepdims=True)
        scale = ops.rsqrt(ops.mean(ops.square(centred), axis=axis, keepdims=True) + layer.epsilon)
        return centred * ops.stop_gradient(scale * _along(layer, "gamma", axis, x))
    shift = 0.0 if beta is None else _along(layer, "beta", getattr(layer, "axis", -1), x)
    safe = ops.where(x == 0, 1.0, x)
    return x * ops.stop_gradient((wide(result) - shift) / safe)


def _grouped(layer: keras.Layer, x: Any) -> Any:
    axis = layer.axis % len(x.shape)
    shape = ops.shape(x)
    split = (*shape[:axis], layer.groups, shape[axis] // layer.groups, *shape[axis + 1 :])
    groups = ops.reshape(x, split)
    over = tuple(place for place in range(1, len(split)) if place != axis)
    centred = groups - ops.mean(groups, axis=over, keepdims=True)
    scale = ops.rsqrt(ops.mean(ops.square(centred), axis=over, keepdims=True) + layer.epsilon)
    found = ops.reshape(centred * ops.stop_gradient(scale), shape)
    return found * ops.stop_gradient(_along(layer, "gamma", axis, x))


def _along(layer: keras.Layer, name: str, axis: Any, x: Any) -> Any:
    """A weight in a shape that broadcasts along its axes; 1 for a missing scale, 0 for a missing shift."""
    weight = getattr(layer, name, None)
    if weight is None:
        return 1.0 if name == "gamma" else 0.0
    axes = {place % len(x.shape) for place in (axis if isinstance(axis, list | tuple) else [axis])}
    shape = [x.shape[place] if place in axes else 1 for place in range(len(x.shape))]
    return ops.reshape(wide(weight), shape)


def affine_part(call: Callable, x: Any) -> Any:
    """The linear part of an affine layer: what it returns, less what it returns for zeros."""
    return wide(call(x)) - ops.stop_gradient(wide(call(ops.zeros_like(x))))
