"""Layers whose outputs are weighted sums over all input channels: dense layers and convolutions."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_arch.compression.pruning.shrinking.activation import elementwise
from keras_arch.compression.pruning.shrinking.channels import UntraceableError

L = keras.layers
_CONVOLUTIONS = (L.Conv1D, L.Conv2D, L.Conv3D)
_TRANSPOSED = tuple(getattr(L, f"Conv{d}DTranspose") for d in (1, 2, 3) if hasattr(L, f"Conv{d}DTranspose"))
_SEPARABLE = (L.SeparableConv1D, L.SeparableConv2D)
MIXING = (L.Dense, *_CONVOLUTIONS, *_TRANSPOSED, *_SEPARABLE)


def kernel_of_filters(layer: keras.Layer) -> tuple[keras.Variable, int]:
    """The kernel whose filters make the channels of a layer, and its axis that counts them.

    Args:
        layer: a built layer of one of the classes in `MIXING`.

    >>> from keras_arch.compression.pruning.shrinking.mixing import kernel_of_filters
    >>> layer = keras.layers.Conv2DTranspose(4, 3)
    >>> layer.build((None, 8, 8, 2))
    >>> kernel, axis = kernel_of_filters(layer)
    >>> kernel.shape[axis]
    4
    """
    kernel = layer.pointwise_kernel if isinstance(layer, _SEPARABLE) else layer.kernel
    return kernel, -2 if isinstance(layer, _TRANSPOSED) else -1


class Mixing:
    """One dense or convolutional layer, read as y[f] = act(Σ_i Σ_t w[t, i, f] x[i] + b[f]).

    I: input channels, F: filters, t: taps of the kernel.

    Args:
        layer: a built layer of exactly one of the classes in `MIXING`.
    Raises:
        UntraceableError: if the layer does more than the formula: groups, channels first, added or quantized weights.

    >>> from keras_arch.compression.pruning.shrinking.mixing import Mixing
    >>> layer = keras.layers.Dense(2)
    >>> layer.build((None, 3))
    >>> layer.set_weights([np.array([[1.0, 0.0], [0.0, 0.0], [2.0, 1.0]]), np.array([5.0, 6.0])])
    >>> Mixing(layer).depends.tolist()
    [[True, False], [False, False], [True, True]]
    """

    def __init__(self, layer: keras.Layer) -> None:
        self.layer = layer
        self.size = "units" if isinstance(layer, L.Dense) else "filters"
        weights = [weight.numpy() for weight in layer.weights]
        kernels = 2 if isinstance(layer, _SEPARABLE) else 1
        self.use_bias = bool(layer.use_bias)
        if len(weights) != kernels + self.use_bias:
            raise UntraceableError("it has other weights than kernel and bias")
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise UntraceableError("its channels come first")
        if getattr(layer, "groups", 1) != 1:
            raise UntraceableError("its filters are in groups")
        self._kernels = weights[:kernels]
        self.bias = weights[kernels].astype("float64") if self.use_bias else np.zeros(self.filters)
        self.depends = self._depends()
        self.exact = self._exact()

    @property
    def channels(self) -> int:
        """I, the number of input channels."""
        return self._kernels[0].shape[-1 if isinstance(self.layer, _TRANSPOSED) else -2]

    @property
    def filters(self) -> int:
        """F, the number of output channels."""
        return self._kernels[-1].shape[-2 if isinstance(self.layer, _TRANSPOSED) else -1]

    def activation(self) -> Callable[[np.ndarray], np.ndarray]:
        """What the layer's activation makes of known values; raises UntraceableError where it may mix channels."""
        return elementwise(self.layer.activation)

    def constants_pass(self, values: np.ndarray) -> np.ndarray:
        """Bool array (I,): which of the known inputs add the same number at every position.

        A zero always does; another number does where no tap falls on a padded border.
        """
        return np.isfinite(values) & (self.exact | (values == 0))

    def contribution(self, values: np.ndarray) -> np.ndarray:
        """What constant inputs add to each filter before the activation: float64 array (F,). NaN adds nothing."""
        chosen = np.flatnonzero(np.nan_to_num(values))
        return values[chosen] @ self._gains(chosen) if len(chosen) else np.zeros(self.filters)

    def cut(self, inputs: np.ndarray, outputs: np.ndarray, shift: np.ndarray) -> tuple[dict[str, Any], list]:
        """Settings and weights of the smaller layer.

        Args:
            inputs: bool array (I,), what stays.
            outputs: bool array (F,), what stays.
            shift: float64 array (F,), what removed constants add to the bias.
        Returns:
            Changes of the config, and the values of the weights.
        """
        kernels = self._cut_kernels(inputs, outputs)
        shifted = bool(np.any(shift[outputs]))
        bias = [(self.bias + shift)[outputs]] if self.use_bias or shifted else []
        changes = {self.size: int(outputs.sum())}
        return (changes if self.use_bias or not shifted else {**changes, "use_bias": True}), [*kernels, *bias]

    def _cut_kernels(self, inputs: np.ndarray, outputs: np.ndarray) -> list[np.ndarray]:
        if isinstance(self.layer, _SEPARABLE):
            depthwise, pointwise = self._kernels
            expanded = np.repeat(inputs, depthwise.shape[-1])
            return [depthwise[..., inputs, :], pointwise[..., expanded, :][..., outputs]]
        if isinstance(self.layer, _TRANSPOSED):
            return [self._kernels[0][..., outputs, :][..., inputs]]
        return [self._kernels[0][..., inputs, :][..., outputs]]

    def _taps(self) -> np.ndarray:
        """The kernel as (T, I, F)."""
        kernel = self._kernels[0]
        if isinstance(self.layer, _TRANSPOSED):
            kernel = np.swapaxes(kernel, -1, -2)
        return kernel.reshape(-1, *kernel.shape[-2:])  # (T, I, F)

    def _depends(self) -> np.ndarray:
        if not isinstance(self.layer, _SEPARABLE):
            return (self._taps() != 0).any(axis=0)
        first = (self._taps() != 0).any(axis=0)  # (I, M)
        second = (self._kernels[1] != 0).reshape(*first.shape, -1)  # (I, M, F)
        return (first[..., None] & second).any(axis=1)

    def _gains(self, chosen: np.ndarray) -> np.ndarray:
        """Sum over the taps for some input channels: float64 array (len(chosen), F)."""
        gains = self._taps()[:, chosen].astype("float64").sum(axis=0)
        if not isinstance(self.layer, _SEPARABLE):
            return gains
        multiplier = gains.shape[-1]
        second = self._kernels[1].astype("float64").reshape(self.channels, multiplier, -1)[chosen]
        return np.einsum("im,imf->if", gains, second)

    def _exact(self) -> bool:
        if isinstance(self.layer, L.Dense):
            return True
        single = all(size == 1 for size in self.layer.kernel_size)
        if isinstance(self.layer, _TRANSPOSED):
            return single and all(stride == 1 for stride in self.layer.strides)
        return single or self.layer.padding == "valid"
