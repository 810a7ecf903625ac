"""Layers that weigh each channel by what they read of all, so that channels pass through them one by one."""

from typing import Any

import keras
import numpy as np

from keras_arch.compression.pruning.shrinking.channels import Channels, UntraceableError


def gates(operation: Any) -> bool:
    """Whether an operation is a layer that says which of its weights belong to each channel that it weighs.

    >>> from keras_arch.compression.pruning.shrinking.gating import gates
    >>> gates(ka.layers.SqueezeExcite()), gates(keras.layers.Dense(2))
    (True, False)
    """
    return isinstance(operation, keras.Layer) and callable(getattr(operation, "gated_channels", None))


class Gating:
    """One layer that gives channel c of its output as channel c of its input times a number of all channels.

    Args:
        layer: a built layer for which `gates` is true.
    Raises:
        UntraceableError: if its channels do not pass one by one.

    >>> from keras_arch.compression.pruning.shrinking.channels import Channels
    >>> from keras_arch.compression.pruning.shrinking.gating import Gating
    >>> layer = ka.layers.SqueezeExcite(ratio=0.5)
    >>> layer.build((None, 6, 6, 2))
    >>> Gating(layer)(Channels(np.arange(2), np.array([0.0, 3.0]))).values.tolist()
    [0.0, nan]
    """

    def __init__(self, layer: keras.Layer) -> None:
        self.layer = layer
        self.gated = layer.gated_channels()
        if self.gated is None:
            raise UntraceableError("its channels come first, or it mixes them")
        self.weights = [variable for variable, _ in self.gated.slices]

    def __call__(self, channels: Channels) -> Channels:
        """Channels of the output."""
        return Channels(channels.units, np.where(channels.values == 0, 0.0, np.nan))

    def needs(self, values: np.ndarray) -> np.ndarray:
        """Bool array (C,): which input channels the others depend on.

        Args:
            values: what is known of the input channels, NaN where they vary.
        """
        return self.gated.read() & (values != 0)
