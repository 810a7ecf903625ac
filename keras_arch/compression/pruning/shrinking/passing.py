"""Layers that treat each channel for itself, so that channels pass through them one by one."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_arch.compression.pruning.shrinking.activation import elementwise
from keras_arch.compression.pruning.shrinking.channels import Channels, UntraceableError

L = keras.layers
Values = Callable[[np.ndarray], np.ndarray]


def _of_every_rank(*names: str) -> tuple[type, ...]:
    return tuple(getattr(L, f"{name}{d}D") for name in names for d in (1, 2, 3) if hasattr(L, f"{name}{d}D"))


_UNCHANGED = (
    L.Identity,
    L.ActivityRegularization,
    L.Dropout,
    L.AlphaDropout,
    L.GaussianDropout,
    L.GaussianNoise,
    *_of_every_rank("SpatialDropout", "MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling"),
    *_of_every_rank("Cropping", "UpSampling"),
)
_PADDING = _of_every_rank("ZeroPadding")
_ACTIVATIONS = (L.Activation, L.ReLU, L.LeakyReLU, L.ELU)
_DEPTHWISE = (L.DepthwiseConv1D, L.DepthwiseConv2D)
PASSING = (*_UNCHANGED, L.Reshape, *_PADDING, *_ACTIVATIONS, *_DEPTHWISE, L.BatchNormalization, L.PReLU, L.Rescaling)


class Passing:
    """One layer that gives channel c of its output, or channels c M to c M + M - 1, from channel c of its input alone.

    Args:
        layer: a built layer of exactly one of the classes in `PASSING`.
        rank: axes of its input, the batch included.
    Raises:
        UntraceableError: if the layer works along another axis.

    >>> from keras_arch.compression.pruning.shrinking.channels import Channels
    >>> from keras_arch.compression.pruning.shrinking.passing import Passing
    >>> Passing(keras.layers.ZeroPadding2D(), 4)(Channels(np.arange(2), np.array([0.0, 3.0]))).values.tolist()
    [0.0, nan]
    """

    def __init__(self, layer: keras.Layer, rank: int) -> None:
        if getattr(layer, "data_format", "channels_last") not in ("channels_last", None):
            raise UntraceableError("its channels come first")
        self.layer = layer
        self.weights = [weight.numpy() for weight in layer.weights]
        self.multiplier = 1
        self.axis = 0  # of every weight, where it counts channels
        if type(layer) in _UNCHANGED:
            self._values: Values = lambda values: values
            if getattr(layer, "interpolation", "nearest") not in ("nearest", "bilinear"):
                self._values = _only_zero
        elif type(layer) in _PADDING:
            self._values = _only_zero
        elif type(layer) is L.Reshape:
            self._values = lambda values: values
        elif type(layer) in _ACTIVATIONS:
            self._values = elementwise(layer)
        elif type(layer) is L.BatchNormalization:
            self._values = self._normalized(rank)
        elif type(layer) is L.PReLU:
            self._values = self._rectified(rank)
        elif type(layer) is L.Rescaling:
            self._values = self._rescaled()
        else:
            self._values = self._convolved()

    def __call__(self, channels: Channels) -> Channels:
        """Channels of the output."""
        return Channels(np.repeat(channels.units, self.multiplier), self._values(channels.values))

    def changes(self, inputs: np.ndarray) -> dict[str, Any]:
        """Changes of the config of the smaller layer.

        Args:
            inputs: bool array (C,), the channels that stay.
        """
        if type(self.layer) is not L.Reshape:
            return {}
        return {"target_shape": (*self.layer.target_shape[:-1], int(inputs.sum()))}

    @property
    def multiplies(self) -> bool:
        """Whether it has a kernel: one of each channel, or several."""
        return type(self.layer) in _DEPTHWISE

    def cut(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Weights of the smaller layer.

        Args:
            inputs: bool array (C,), the channels that stay.
        """
        if not self.multiplies:
            return [np.compress(inputs, weight, axis=self.axis) for weight in self.weights]
        kernel, *bias = self.weights
        return [kernel[..., inputs, :], *(part[np.repeat(inputs, self.multiplier)] for part in bias)]

    def _normalized(self, rank: int) -> Values:
        layer = self.layer
        if layer.axis not in (-1, rank - 1):
            raise UntraceableError(f"it normalizes axis {layer.axis}, not the channels")
        mean = layer.moving_mean.numpy().astype("float64")
        deviation = np.sqrt(layer.moving_variance.numpy().astype("float64") + layer.epsilon)
        gamma = layer.gamma.numpy().astype("float64") if layer.scale else np.ones_like(mean)
        beta = layer.beta.numpy().astype("float64") if layer.center else np.zeros_like(mean)
        return lambda values: np.where(gamma == 0, beta, (values - mean) * gamma / deviation + beta)

    def _rectified(self, rank: int) -> Values:
        if rank - 1 in (self.layer.shared_axes or ()):
            raise UntraceableError("its channels share a slope")
        self.axis = -1
        return lambda values: np.where(values >= 0, values, np.nan)  # below 0 the slope may differ by position

    def _rescaled(self) -> Values:
        layer = self.layer
        if np.ndim(layer.scale) or np.ndim(layer.offset):
            raise UntraceableError("it has a scale for each channel")
        return lambda values: values * layer.scale + layer.offset

    def _convolved(self) -> Values:
        layer = self.layer
        activation = elementwise(layer.activation)
        if len(self.weights) != 1 + bool(layer.use_bias):
            raise UntraceableError("it has other weights than kernel and bias")
        kernel = self.weights[0].astype("float64")
        taps = kernel.reshape(-1, kernel.shape[-2] * kernel.shape[-1])  # (T, C M)
        bias = self.weights[1].astype("float64") if layer.use_bias else 0.0
        self.multiplier = kernel.shape[-1]
        exact = layer.padding == "valid" or all(size == 1 for size in layer.kernel_size)

        def values_of(values: np.ndarray) -> np.ndarray:
            values = np.repeat(values if exact else _only_zero(values), self.multiplier)  # (C M,)
            sums = np.where((taps != 0).any(axis=0), values * taps.sum(axis=0), 0.0)
            return activation(sums + bias)

        return values_of


def _only_zero(values: np.ndarray) -> np.ndarray:
    """Known values where they are 0: what stays constant beside a border of zeros."""
    return np.where(values == 0, 0.0, np.nan)
