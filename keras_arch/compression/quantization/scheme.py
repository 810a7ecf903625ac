"""How a tensor is quantized: bits, grid, granularity and the observer of its range, as frozen values."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_arch.compression.quantization import observers
from keras_arch.core import check, identifiers
from keras_arch.core.registration import register
from keras_arch.core.value import Value
from keras_arch.ops.fake_quant import fake_quant, nudged_range, symmetric_range

SMALLEST_BOUND = 1e-7


@register
@dataclasses.dataclass(frozen=True)
class PerTensor(Value):
    """One range for the whole tensor.

    >>> ka.compression.PerTensor()
    PerTensor()
    """


@register
@dataclasses.dataclass(frozen=True)
class PerChannel(Value):
    """One range for each channel of a kernel.

    Args:
        axis: the channel axis. None finds the output channels of each kernel, and gives kernels of rank 2 one range
            for all: LiteRT runs a Dense layer with a single scale.

    >>> ka.compression.PerChannel(axis=-1)
    PerChannel(axis=-1)
    """

    axis: int | None = None

    def __post_init__(self) -> None:
        if self.axis is not None and (isinstance(self.axis, bool) or not isinstance(self.axis, int)):
            raise check.refuse("axis", "must be an integer or None", self.axis, "Use axis=-1 for the last axis.")


@register
@dataclasses.dataclass(frozen=True)
class Scheme(Value):
    """How a tensor is quantized.

    Args:
        bits: 2 to 8, and 16 for activations.
        symmetric: put zero in the middle of the grid. False spans the measured range.
        granularity: `PerTensor()` or `PerChannel(axis)`.
        narrow: leave out the lowest value of the grid: -127 .. 127 in place of -128 .. 127.
        observer: how the range is measured: an object, a class or a string id such as "min_max".
    Raises:
        ValueError: for bits out of range or an unknown granularity or observer.
    Source: Krishnamoorthi 2018, arXiv:1806.08342.

    >>> ka.compression.Scheme.for_weights(8)
    Scheme(bits=8, symmetric=True, granularity=PerChannel(axis=None), narrow=True, observer=MinMax())
    >>> ka.compression.Scheme.for_activations(8)
    Scheme(bits=8, symmetric=False, granularity=PerTensor(), narrow=False, observer=MovingAverage(decay=0.99))
    """

    bits: int = 8
    symmetric: bool = True
    granularity: PerTensor | PerChannel = PerTensor()
    narrow: bool = False
    observer: Any = "min_max"

    def __post_init__(self) -> None:
        if self.bits != 16:
            check.integer("bits", self.bits, minimum=2, maximum=8)
        if not isinstance(self.granularity, PerTensor | PerChannel):
            raise check.refuse(
                "granularity", "must be PerTensor() or PerChannel(axis)", self.granularity, "Pass PerTensor()."
            )
        observer = identifiers.resolve("observer", self.observer, observers)
        if not (hasattr(observer, "measure") and hasattr(observer, "merge")):
            raise check.refuse(
                "observer", "must have the methods measure and merge", observer, 'Pass "min_max" or "moving_average".'
            )
        object.__setattr__(self, "observer", observer)

    @classmethod
    def for_weights(cls, bits: int) -> "Scheme":
        """What LiteRT runs for kernels: symmetric, narrow, a range for each output channel."""
        return cls(bits, symmetric=True, granularity=PerChannel(), narrow=True, observer=observers.MinMax())

    @classmethod
    def for_activations(cls, bits: int) -> "Scheme":
        """What LiteRT runs for activations: one range; symmetric at 16 bits, spanning the measured range below."""
        return cls(bits, symmetric=bits == 16, observer=observers.MovingAverage())

    def grid_range(self, low: Any, high: Any) -> tuple[Any, Any]:
        """Ends of the grid for a measured range: made symmetric if asked for, and never empty.

        Args:
            low: float32 tensor, <= 0.
            high: float32 tensor of the same shape, >= 0.
        """
        if self.symmetric:
            bound = ops.maximum(ops.maximum(-low, high), SMALLEST_BOUND)
            return symmetric_range(bound, self.bits, self.narrow)
        return low, ops.maximum(high, low + SMALLEST_BOUND)

    def quantize(self, x: Any, low: Any, high: Any, channel_axes: int = 0) -> Any:
        """Round `x` onto the grid of a measured range; see `keras_arch.ops.fake_quant.fake_quant`."""
        low, high = self.grid_range(low, high)
        return fake_quant(x, low, high, self.bits, self.narrow, channel_axes)

    def step(self, low: Any, high: Any) -> Any:
        """Distance of two neighbours on the grid of a measured range."""
        return nudged_range(*self.grid_range(low, high), self.bits, self.narrow)[2]

    def quantize_kernel(self, kernel: Any, channel_axes: Sequence[int] = ()) -> Any:
        """Round a kernel onto the grid of its own present range.

        Args:
            kernel: float tensor.
            channel_axes: axes that index channels, in rising order; empty for one range.
        Returns:
            Tensor like `kernel`; gradients pass straight through.
        """
        # Reads the value: Keras 3.15 hands TensorFlow variables on unread, and its fake quantization refuses them.
        kernel = ops.reshape(kernel, kernel.shape)
        rank = len(kernel.shape)
        others = tuple(axis for axis in range(rank) if axis not in channel_axes)
        low, high = self.observer.measure(ops.stop_gradient(kernel), others)
        if not channel_axes or tuple(channel_axes) == tuple(range(rank - len(channel_axes), rank)):
            return self.quantize(kernel, low, high, len(channel_axes))
        order = (*others, *channel_axes)
        back = sorted(range(rank), key=order.__getitem__)
        return ops.transpose(self.quantize(ops.transpose(kernel, order), low, high, len(channel_axes)), back)


def as_scheme(argument: str, value: Any) -> Scheme:
    """Turn bits into the scheme LiteRT runs at that width; a `Scheme` is returned as it is.

    Args:
        argument: "weights" or "activations".
        value: an int or a `Scheme`.
    Raises:
        ValueError: for bits out of range, or a scheme that this kind of tensor cannot have.

    >>> as_scheme("weights", 4).bits
    4
    """
    of_weights = argument == "weights"
    advice = "Use 2 to 8." if of_weights else "Use 2 to 8, or 16."
    if not isinstance(value, Scheme):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not (2 <= value <= 8 or (value == 16 and not of_weights)):
            raise check.refuse(argument, "must be a number of bits or a Scheme", value, advice)
        return Scheme.for_weights(value) if of_weights else Scheme.for_activations(value)
    if of_weights and value.bits == 16:
        raise check.refuse(argument, "must have 2 to 8 bits", value.bits, advice)
    if not of_weights and isinstance(value.granularity, PerChannel):
        raise check.refuse(argument, "must be per tensor", value.granularity, "Use granularity=PerTensor().")
    return value
