"""Channels that a layer weighs one by one, and what of its weights belongs to each."""

import dataclasses
from typing import Any

import keras
import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class GatedChannels:
    """The channels of a layer that multiplies each of them with a number that it computes of all.

    `compression.shrink` follows channels through a layer of your own that has a method `gated_channels()` which returns
    one of these once it is built, or None where they do not pass one by one. A channel that is 0 everywhere has to come
    out as 0 and to be, for all the others, as if it were not there; channels are on the last axis.

    Args:
        slices: (weight, its axis of these channels) of every weight that has one; what a smaller layer keeps less of.
        readers: places in `slices`; where all these weights are zero, no other channel depends on this one.
        config: arguments of a smaller layer's config that keep all else as it is.

    >>> import keras_arch as ka
    >>> layer = ka.layers.SqueezeExcite(ratio=0.5)
    >>> layer.build((None, 6, 6, 8))
    >>> layer.gated_channels().read().all(), layer.gated_channels().config["width"]
    (np.True_, 4)
    """

    slices: tuple[tuple[keras.Variable, int], ...]
    readers: tuple[int, ...]
    config: dict[str, Any] = dataclasses.field(default_factory=dict)

    def read(self) -> np.ndarray:
        """Bool array (C,): on which channels the others depend."""
        slices = [self.slices[place] for place in self.readers]
        rows = [np.moveaxis(variable.numpy() != 0, axis, 0) for variable, axis in slices]
        return np.any([row.reshape(len(row), -1).any(axis=1) for row in rows], axis=0)
