"""Layers that compute in float, kept apart from the integers around them while a model is converted."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_arch.core.walk import walk


def out_of_integers(x: Any) -> Any:
    """A tensor times 1, where the 1 comes of the tensor itself, so that no converter can know it.

    LiteRT's converter computes the first operations of a layer on a rounded tensor in integers if they keep the scale,
    and rounds their results too: the mean of a layer normalization, for one. It leaves this product in float.

    Args:
        x: anything; what is no float tensor is returned as it is.

    >>> float(out_of_integers(ops.convert_to_tensor([-2.5]))[0])
    -2.5
    """
    if not ops.is_tensor(x) or not keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
        return x
    first = ops.reshape(x, (-1,))[:1]
    return x * ops.cast(ops.greater_equal(ops.abs(first), -1.0), x.dtype)


@contextlib.contextmanager
def exporting(model: keras.Model) -> Iterator[None]:
    """Let layers in float multiply what they are given by 1 for the time of a `with` block, in what is traced there.

    Args:
        model: what `quantize` returned, or any other.

    >>> q = ka.compression.quantize(keras.Sequential([keras.Input((2,)), keras.layers.LayerNormalization()]))
    >>> with exporting(q):
    ...     q.layers[0].exporting
    True
    """
    layers = [layer for _, layer in walk(model) if hasattr(layer, "exporting")]
    for layer in layers:
        layer.exporting = True
    try:
        yield
    finally:
        for layer in layers:
            layer.exporting = False
