"""The channels between the convolutions of a block, for pruning."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_arch.core.inner_channels import InnerChannels, acts_alone, bias_of, is_plain, keeps_zero

Stage = tuple[keras.layers.Layer, keras.layers.Layer | None]


def inner_filters(
    stages: Sequence[Stage],
    activation: Any,
    readers: Sequence[keras.layers.Layer],
    argument: str,
    gate: keras.layers.Dense | None = None,
    **options: Any,
) -> list[InnerChannels]:
    """The channels that one convolution makes and that pass, each for itself, until others read them.

    Where the last normalization can silence a channel (gamma and beta of 0, and an activation that keeps 0), or without
    one the last convolution, what reads it is spared; elsewhere it has to be zero as well.

    Args:
        stages: (convolution, its normalization or None), each followed by the activation. After the first they are
            depthwise, or in groups that go as a whole.
        activation: of the block.
        readers: convolutions and dense layers that read the channels.
        argument: see `InnerChannels`.
        gate: None, or a layer whose outputs the channels are multiplied with.
        **options: of `InnerChannels`.
    Returns:
        One `InnerChannels`; none where an activation or a normalization may mix channels, or a convolution has other
        weights than kernel and bias.

    >>> conv, reader = keras.layers.Conv2D(4, 3), keras.layers.Conv2D(2, 1)
    >>> conv.build((None, 8, 8, 3)), reader.build((None, 8, 8, 4))
    (None, None)
    >>> [inner] = inner_filters([(conv, None)], keras.activations.relu, [reader], "filters")
    >>> inner.size, inner.spared
    (4, (0,))
    """
    gates = [] if gate is None else [gate]
    alone = all(acts_alone(each) for each in (activation, *(dense.activation for dense in gates)))
    plain = is_plain(*(conv for conv, _ in stages), *readers, *gates)
    if not alone or not plain or not all(_keeps_apart(norm, conv) for conv, norm in stages):
        return []
    slices = [(reader.kernel, -2) for reader in readers]
    slices += [part for dense in gates for part in ((dense.kernel, -1), *bias_of(dense))]
    read, outside, uncounted = tuple(range(len(readers))), len(slices), []
    last: list[int] | None = None  # places of what can silence a channel at the end of the stages
    for conv, norm in stages:
        depthwise = isinstance(conv, keras.layers.DepthwiseConv2D)
        uncounted += [len(slices)] if depthwise else []
        last = list(range(len(slices), len(slices) + 1 + len(bias_of(conv))))
        slices += [(conv.kernel, -2 if depthwise else -1), *bias_of(conv)]
        if norm is not None:
            last = None if norm.gamma is None else [len(slices) + place for place in range(1 + (norm.beta is not None))]
            slices += [(weight, 0) for weight in (norm.gamma, norm.beta) if weight is not None]
    ends = last is not None and keeps_zero(activation)
    spared = list(range(0 if ends else len(readers), outside))
    for _, norm in stages:
        if norm is not None:
            spared += [len(slices), len(slices) + 1]
            slices += [(norm.moving_mean, 0), (norm.moving_variance, 0)]
    silences = (read, tuple(last)) if ends else (read,)
    options |= {"spared": tuple(spared), "uncounted": (*read, *uncounted)}
    return [InnerChannels("channel", argument, tuple(slices), silences, **options)]


def _keeps_apart(norm: keras.layers.Layer | None, conv: keras.layers.Layer) -> bool:
    """Whether a normalization is none, or one of each channel of a convolution over batch and places."""
    if norm is None:
        return True
    channels = 3 if conv.data_format == "channels_last" else 1
    return type(norm) is keras.layers.BatchNormalization and norm.axis in (channels, channels - 4)
