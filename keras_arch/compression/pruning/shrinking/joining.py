"""Layers that bring several tensors together, and the one that lays positions beside channels."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_arch.compression.graph import Tensor
from keras_arch.compression.pruning.shrinking.channels import Channels, Units, UntraceableError

L = keras.layers
Together = Callable[[Sequence[np.ndarray]], np.ndarray]


def _multiply(values: Sequence[np.ndarray]) -> np.ndarray:
    product = np.prod(values, axis=0)
    return np.where(np.any([value == 0 for value in values], axis=0), 0.0, product)  # 0 times unknown is 0


_MERGES: dict[type, Together] = {
    L.Add: lambda values: np.sum(values, axis=0),
    L.Average: lambda values: np.mean(values, axis=0),
    L.Subtract: lambda values: values[0] - values[1],
    L.Multiply: _multiply,
    L.Maximum: lambda values: np.max(values, axis=0),
    L.Minimum: lambda values: np.min(values, axis=0),
}
# What `a + b` of symbolic tensors records. The classes have no public name: known by the ones of Keras 3.15, and any
# other operation is not traced.
_OPERATIONS = {
    "Add": _MERGES[L.Add],
    "Subtract": _MERGES[L.Subtract],
    "Multiply": _MERGES[L.Multiply],
    "Maximum": _MERGES[L.Maximum],
    "Minimum": _MERGES[L.Minimum],
}


def merging(operation: Any) -> Together | None:
    """How an operation makes one value of several, None if it does not merge channel by channel.

    >>> from keras_arch.compression.pruning.shrinking.joining import merging
    >>> merging(keras.layers.Add())([np.array([1.0]), np.array([2.0])]).tolist()
    [3.0]
    """
    if isinstance(operation, keras.Layer):
        return _MERGES.get(type(operation))
    ours = type(operation).__module__.startswith("keras.")
    return _OPERATIONS.get(type(operation).__name__) if ours else None


def takes_number(operation: Any, calls: Sequence[Sequence[Tensor]], options: Sequence[Sequence[Any]]) -> bool:
    """Whether an operation adds a number to one tensor, or multiplies it with one, as in `x + 3.0`.

    Args:
        operation: a layer or a bare operation.
        calls: the tensors of each call.
        options: what each call was given beside tensors.
    """
    commutes = type(operation).__name__ in ("Add", "Multiply") and not isinstance(operation, keras.Layer)
    return commutes and all(
        len(tensors) == len(given) == 1 and isinstance(given[0], int | float) and not isinstance(given[0], bool)
        for tensors, given in zip(calls, options, strict=True)
    )


def merged(
    operation: Any, inputs: Sequence[Channels], tensors: Sequence[Tensor], together: Together, units: Units
) -> Channels:
    """Channels of a sum, product or extremum: channel c of each input and of the output can only go together.

    Args:
        operation: a layer or a bare operation.
        inputs: channels of its inputs.
        tensors: the inputs themselves.
        together: from `merging`.
        units: where channels are joined; one channel that is spread over many is fixed.
    Raises:
        UntraceableError: if a tensor has another rank, so that channels meet other axes.
    """
    if len(inputs) < 2:
        raise UntraceableError("it takes a number or one tensor")
    if isinstance(operation, keras.Layer) and len({len(tensor.shape) for tensor in tensors}) > 1:
        raise UntraceableError("its inputs have different ranks")
    size = max(channels.size for channels in inputs)
    whole = [channels for channels in inputs if channels.size == size]
    for channels in inputs:
        if channels.size == size:
            units.join(whole[0].units, channels.units)
        else:
            units.fix(channels.units, f"{operation.name} spreads it over all channels")
    values = together([np.broadcast_to(channels.values, (size,)) for channels in inputs])
    return Channels(whole[0].units, values)


def concatenated(layer: keras.Layer, inputs: Sequence[Channels], tensors: Sequence[Tensor], units: Units) -> Channels:
    """Channels of a concatenation: side by side, or joined where another axis grows.

    Args:
        layer: a `keras.layers.Concatenate`.
        inputs: channels of its inputs.
        tensors: the inputs themselves.
        units: where channels are joined.
    """
    if layer.axis in (-1, len(tensors[0].shape) - 1):
        return Channels(*(np.concatenate([getattr(each, name) for each in inputs]) for name in ("units", "values")))
    first = inputs[0]
    values = first.values
    for channels in inputs[1:]:
        units.join(first.units, channels.units)
        values = np.where(values == channels.values, values, np.nan)
    return Channels(first.units, values)


def flattened(layer: keras.Layer, channels: Channels, tensor: Tensor) -> Channels:
    """Channels of a flattened tensor: every position has all of them, so one channel is many features.

    Args:
        layer: a `keras.layers.Flatten`.
        channels: channels of its input.
        tensor: the input itself.
    Raises:
        UntraceableError: if a size is unknown.
    """
    positions = tensor.shape[1:-1]
    if layer.data_format != "channels_last":
        raise UntraceableError("its channels come first")
    if None in positions:
        raise UntraceableError(f"it flattens the unknown size of {tensor.shape}")
    return Channels(*(np.tile(part, math.prod(positions)) for part in (channels.units, channels.values)))
