"""Channels and heads inside a layer, which nothing outside it sees: what pruning may take without looking around."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class InnerChannels:
    """The features between two products inside a layer, or the heads of attention.

    A layer of your own takes part in channel pruning and in `compression.shrink` when it has a method
    `inner_channels()` that returns a list of these, once it is built.

    Args:
        kind: "channel" or "head".
        argument: of the layer's config, that counts them.
        slices: (weight, its axis of these channels) of every weight that has one; what a smaller layer keeps less of.
        silences: sets of places in `slices`; where all weights of one set are zero, nothing comes out of a channel.
        config: further arguments of a smaller layer's config.

    >>> import keras_arch as ka
    >>> layer = ka.layers.GatedFeedForward(16)
    >>> layer.build((None, 8))
    >>> [inner] = layer.inner_channels()
    >>> inner.argument, inner.size, len(inner.slices), inner.dead().any()
    ('intermediate_dim', 16, 3, np.False_)
    """

    kind: str
    argument: str
    slices: tuple[tuple[keras.Variable, int], ...]
    silences: tuple[tuple[int, ...], ...]
    config: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many channels there are."""
        variable, axis = self.slices[0]
        return variable.shape[axis]

    def dead(self) -> np.ndarray:
        """Bool array (size,): from which channels nothing comes out, whatever goes in."""
        zero = [_zero(variable, axis) for variable, axis in self.slices]
        return np.any([np.all([zero[place] for place in places], axis=0) for places in self.silences], axis=0)


def inner_channels_of(layer: keras.Layer) -> list[InnerChannels]:
    """The inner channels of a built layer: what its own method says, or the heads of Keras's attention.

    Args:
        layer: any layer.

    >>> layer = keras.layers.MultiHeadAttention(num_heads=4, key_dim=2)
    >>> layer.build((None, 3, 8), (None, 3, 8))
    >>> [(inner.argument, inner.size) for inner in inner_channels_of(layer)]
    [('num_heads', 4)]
    """
    if not layer.built:
        return []
    if type(layer) is keras.layers.MultiHeadAttention:
        return heads_of(layer)
    method = getattr(layer, "inner_channels", None)
    return list(method()) if callable(method) else []


def heads_of(layer: keras.layers.MultiHeadAttention, more: Sequence[tuple[keras.Variable, int]] = ()) -> list:
    """The heads of attention with the weights of Keras's.

    Args:
        layer: built, with as many heads of keys and values as of queries.
        more: other weights with an axis of heads.
    Returns:
        One `InnerChannels`, or none for gated attention.
    """
    if getattr(layer, "_use_gate", False) or getattr(layer, "use_gate", False):
        return []
    value = [(layer.value_dense.kernel, 1), *_bias(layer.value_dense)]
    rest = [item for dense in (layer.query_dense, layer.key_dense) for item in ((dense.kernel, 1), *_bias(dense))]
    slices = (*value, (layer.output_dense.kernel, 0), *rest, *more)
    return [InnerChannels("head", "num_heads", slices, (tuple(range(len(value))), (len(value),)))]


def between(
    writers: Sequence[Sequence[keras.layers.Dense]], reader: keras.layers.Dense, argument: str
) -> InnerChannels:
    """The features between dense layers: those of a product, written by several, or of one activation.

    Args:
        writers: sets of layers that write the features; where all of one set send out zero, the features are zero.
        reader: the layer that reads them.
        argument: see `InnerChannels`.

    >>> first, second = keras.layers.Dense(4), keras.layers.Dense(1)
    >>> first.build((None, 2)), second.build((None, 4))
    (None, None)
    >>> between([[first]], second, "units").size
    4
    """
    slices: list[tuple[keras.Variable, int]] = [(reader.kernel, -2)]
    silences: list[tuple[int, ...]] = [(0,)]
    for layers in writers:
        start = len(slices)
        for dense in layers:
            slices += [(dense.kernel, -1), *_bias(dense)]
        if all(_keeps_zero(dense.activation) for dense in layers):
            silences.append(tuple(range(start, len(slices))))
    return InnerChannels("channel", argument, tuple(slices), tuple(silences))


def _keeps_zero(activation: Any) -> bool:
    return activation is None or float(keras.ops.convert_to_numpy(activation(keras.ops.zeros((1, 1))))[0, 0]) == 0


def _bias(dense: Any) -> list[tuple[keras.Variable, int]]:
    return [] if dense.bias is None else [(dense.bias, 0)]


def _zero(variable: keras.Variable, axis: int) -> np.ndarray:
    rows = np.moveaxis(variable.numpy() == 0, axis, 0)
    return rows.reshape(len(rows), -1).all(axis=1)
