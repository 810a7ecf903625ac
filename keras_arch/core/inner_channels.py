"""Channels and heads inside a layer, which nothing outside it sees: what pruning may take without looking around."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_arch.core.walk import walk


@dataclasses.dataclass(frozen=True, eq=False)
class InnerChannels:
    """The features between two products inside a layer, or the heads of attention.

    A layer of your own takes part in channel pruning and in `compression.shrink` when it has a method
    `inner_channels()` that returns a list of these, once it is built.

    A channel may have several places in a row along an axis: as a head of keys has the heads of queries that share it.
    "squeeze_excite.width" is the argument `width` of the layer that the argument `squeeze_excite` holds.

    Args:
        kind: "channel" or "head".
        argument: of the layer's config, that counts them.
        slices: (weight, its axis of these channels) of every weight that has one; what a smaller layer keeps less of.
        silences: sets of places in `slices`; where all weights of one set are zero, nothing comes out of a channel.
        config: further arguments of a smaller layer's config.
        number: how many channels there are; None for one at each place along the first axis of `slices`.
        multiples: further arguments of the config that count with the channels, each with how many a channel has.
        spared: places in `slices` of weights that pruning leaves as they are: the channel is silent without.
        uncounted: places in `slices` of kernels that say nothing of how much a channel matters.

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
    number: int | None = None
    multiples: dict[str, int] = dataclasses.field(default_factory=dict)
    spared: tuple[int, ...] = ()
    uncounted: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many channels there are."""
        variable, axis = self.slices[0]
        return variable.shape[axis] if self.number is None else self.number

    def along(self, place: int, values: np.ndarray) -> np.ndarray:
        """Array (size,) of one value a channel, as an array of one value at each index of an axis of `slices`."""
        variable, axis = self.slices[place]
        return np.repeat(values, variable.shape[axis] // self.size)

    def dead(self) -> np.ndarray:
        """Bool array (size,): from which channels nothing comes out, whatever goes in."""
        zero = [_zero(variable, axis, self.size) for variable, axis in self.slices]
        return np.any([np.all([zero[place] for place in places], axis=0) for places in self.silences], axis=0)

    def counts(self, left: int) -> dict[str, int]:
        """The arguments that count channels, in a layer that has `left` of them."""
        return {self.argument: left, **{name: left * each for name, each in self.multiples.items()}}

    def config_of(self, left: int) -> dict[str, Any]:
        """Changes of the config for a layer that has `left` of the channels."""
        return {**self.config, **self.counts(left)}


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
        return heads_of(layer, "num_heads")
    if type(layer) is keras.layers.GroupQueryAttention:
        queries = {"num_query_heads": layer.num_query_heads // layer.num_key_value_heads}
        return heads_of(layer, "num_key_value_heads", queries)
    method = getattr(layer, "inner_channels", None)
    return list(method()) if callable(method) else []


def heads_of(
    layer: keras.Layer,
    argument: str,
    multiples: dict[str, int] | None = None,
    more: Sequence[tuple[keras.Variable, int]] = (),
) -> list[InnerChannels]:
    """The heads of attention with projections as Keras's: of keys and values, each with the queries that share it.

    Args:
        layer: built; its projections have the names "query", "key", "value", "attention_output" and, if it has a gate,
            "gate", as its saved weights have.
        argument: of the config, that counts the heads of keys and values.
        multiples: see `InnerChannels`.
        more: other weights with an axis of heads.
    Returns:
        One `InnerChannels`, or none where a projection has other weights than kernel and bias.

    >>> layer = keras.layers.MultiHeadAttention(num_heads=4, key_dim=2, use_gate=True)
    >>> layer.build((None, 3, 8), (None, 3, 8))
    >>> len(heads_of(layer, "num_heads")[0].slices)
    9
    """
    parts = dict(walk(layer))
    inputs = [parts[name] for name in ("value", "query", "key", "gate") if name in parts]
    output = parts["attention_output"]
    if not is_plain(*inputs, output):
        return []
    value, *rest = ([(dense.kernel, 1), *bias_of(dense)] for dense in inputs)
    slices = (*value, (output.kernel, 0), *(item for items in rest for item in items), *more)
    silences = (tuple(range(len(value))), (len(value),))
    return [InnerChannels("head", argument, slices, silences, multiples=multiples or {})]


def between(
    writers: Sequence[Sequence[keras.layers.Dense]], reader: keras.layers.Dense, argument: str, **options: Any
) -> list[InnerChannels]:
    """The features between dense layers: those of a product, written by several, or of one activation.

    Args:
        writers: sets of layers that write the features; where all of one set send out zero, the features are zero.
        reader: the layer that reads them.
        argument: see `InnerChannels`.
        **options: of `InnerChannels`.
    Returns:
        One `InnerChannels`, or none where an activation may mix features or a layer has other weights than its own.

    >>> first, second = keras.layers.Dense(4), keras.layers.Dense(1)
    >>> first.build((None, 2)), second.build((None, 4))
    (None, None)
    >>> between([[first]], second, "units")[0].size
    4
    """
    slices: list[tuple[keras.Variable, int]] = [(reader.kernel, -2)]
    silences: list[tuple[int, ...]] = [(0,)]
    for layers in writers:
        if not is_plain(*layers, reader) or not all(acts_alone(dense.activation) for dense in layers):
            return []
        start = len(slices)
        for dense in layers:
            slices += [(dense.kernel, -1), *bias_of(dense)]
        if all(keeps_zero(dense.activation) for dense in layers):
            silences.append(tuple(range(start, len(slices))))
    return [InnerChannels("channel", argument, tuple(slices), tuple(silences), **options)]


def is_plain(*layers: keras.Layer) -> bool:
    """Whether layers have no other weights than a kernel and a bias: no factors of LoRA, no scales of quantization.

    >>> layer = keras.layers.Dense(3)
    >>> layer.build((None, 2))
    >>> is_plain(layer)
    True
    """
    return all(len(layer.weights) == 1 + (layer.bias is not None) for layer in layers)


def acts_alone(activation: Any) -> bool:
    """Whether an activation makes of each feature what it makes of it alone, unlike softmax. A layer may do anything.

    >>> acts_alone(keras.activations.relu), acts_alone(keras.activations.softmax)
    (True, False)
    """
    if activation is None:
        return True
    if isinstance(activation, keras.Layer):
        return False
    values = np.array([[-2.5, -0.3, 0.0, 0.4, 1.7, 7.0]], "float32")
    together = _apply(activation, values)
    if together.shape != values.shape:
        return False
    pairs = np.stack([values[0], np.full(values.size, 0.3, "float32")], axis=1)  # softmax warns of a single one
    return np.allclose(together[0], _apply(activation, pairs)[:, 0], rtol=1e-5, atol=1e-6)


def keeps_zero(activation: Any) -> bool:
    """Whether an activation makes 0 of 0.

    >>> keeps_zero(keras.activations.relu), keeps_zero(keras.activations.sigmoid)
    (True, False)
    """
    return activation is None or float(_apply(activation, np.zeros((1, 1), "float32"))[0, 0]) == 0


def bias_of(layer: keras.Layer) -> list[tuple[keras.Variable, int]]:
    """The bias of a layer with its axis of channels, in a list that is empty where it has none.

    >>> layer = keras.layers.Dense(3, use_bias=False)
    >>> layer.build((None, 2))
    >>> bias_of(layer)
    []
    """
    return [] if layer.bias is None else [(layer.bias, 0)]


def _apply(activation: Any, values: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(activation(keras.ops.convert_to_tensor(values)))


def _zero(variable: keras.Variable, axis: int, size: int) -> np.ndarray:
    """Bool array (size,): channels whose weights are all zero."""
    return np.moveaxis(variable.numpy() == 0, axis, 0).reshape(size, -1).all(axis=1)
