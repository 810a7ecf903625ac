"""How a tensor is quantized: bits, grid, granularity and the observer of its range, as frozen values."""

import dataclasses
from collections.abc import Callable, Sequence
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
class PerGroup(Value):
    """One range for each group of neighbouring inputs of each output channel of a kernel.

    A kernel (..., I, O) has I / size * O ranges, each of `size` rows of one column, and of all positions of a
    convolution's window. Finer than `PerChannel`, it is how language models are stored in 4 bits. LiteRT has no such
    kernels: a model with them can be trained and measured, and `export_litert` refuses it.

    Args:
        size: inputs in a group, >= 1; it has to divide the inputs of every kernel.
    Source: Shen et al. 2020, arXiv:1909.05840, section 3.3.

    >>> ka.compression.PerGroup(size=32)
    PerGroup(size=32)
    """

    size: int

    def __post_init__(self) -> None:
        check.integer("size", self.size)


@register
@dataclasses.dataclass(frozen=True)
class Scheme(Value):
    """How a tensor is quantized.

    Args:
        bits: 2 to 8, and 16 for activations.
        symmetric: put zero in the middle of the grid. False spans the measured range.
        granularity: `PerTensor()`, `PerChannel(axis)` or `PerGroup(size)`.
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
    granularity: PerTensor | PerChannel | PerGroup = PerTensor()
    narrow: bool = False
    observer: Any = "min_max"

    def __post_init__(self) -> None:
        if self.bits != 16:
            check.integer("bits", self.bits, minimum=2, maximum=8)
        if not isinstance(self.granularity, PerTensor | PerChannel | PerGroup):
            rule = "must be PerTensor(), PerChannel(axis) or PerGroup(size)"
            raise check.refuse("granularity", rule, self.granularity, "Pass PerTensor().")
        observer = identifiers.resolve("observer", self.observer, observers)
        if not (hasattr(observer, "measure") and hasattr(observer, "merge")):
            raise check.refuse(
                "observer", "must have the methods measure and merge", observer, 'Pass "min_max" or "percentile".'
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

    def measure(self, x: Any, axes: Sequence[int] | None = None) -> tuple[Any, Any]:
        """Range of one tensor, as the observer measures it.

        Args:
            x: tensor of any shape.
            axes: axes to reduce, None for all; the others index channels.
        Returns:
            (low, high), float32, shaped like the axes that are left; low <= 0 <= high.
        """
        if getattr(self.observer, "takes_scheme", False):
            return self.observer.measure(x, axes, self)
        return self.observer.measure(x) if axes is None else self.observer.measure(x, axes)

    def grid_range(self, low: Any, high: Any) -> tuple[Any, Any]:
        """Ends of the grid for a measured range: made symmetric if asked for, and never empty.

        Args:
            low: float32 tensor, <= 0.
            high: float32 tensor of the same shape, >= 0.
        """
        if self.symmetric:
            bound = ops.maximum(-low, high)
            # A channel of zeros has the step of the widest: with a tiny one its bias overflows LiteRT's 32 bits.
            channels = len(ops.shape(bound)) > 0
            widest = ops.max(bound) if channels else bound
            spare = ops.where(widest > SMALLEST_BOUND, widest, ops.ones_like(widest))
            bound = ops.where(bound > SMALLEST_BOUND, bound, spare) if channels else spare
            return symmetric_range(bound, self.bits, self.narrow)
        return low, ops.maximum(high, low + SMALLEST_BOUND)

    def quantize(self, x: Any, low: Any, high: Any, channel_axes: int = 0) -> Any:
        """Round `x` onto the grid of a measured range; see `keras_arch.ops.fake_quant.fake_quant`."""
        low, high = self.grid_range(low, high)
        return fake_quant(x, low, high, self.bits, self.narrow, channel_axes)

    def step(self, low: Any, high: Any) -> Any:
        """Distance of two neighbours on the grid of a measured range."""
        return nudged_range(*self.grid_range(low, high), self.bits, self.narrow)[2]

    def integers(self, low: Any, high: Any) -> tuple[Any, Any]:
        """Smallest and largest integer of the grid of a measured range, counted from the one of zero, as float32.

        >>> [float(end) for end in Scheme(4, narrow=True).integers(np.float32(-1), np.float32(2))]
        [-7.0, 7.0]
        """
        first, last, step = nudged_range(*self.grid_range(low, high), self.bits, self.narrow)
        return ops.round(first / step), ops.round(last / step)

    def range_of_step(self, low: Any, high: Any, step: Any) -> tuple[Any, Any]:
        """The range whose grid has a given step, and its zero where a measured range has it.

        Args:
            low: lower end of the measured range.
            high: upper end.
            step: > 0, shaped like `low`.
        Returns:
            (low, high), again as if measured: `self.step` of them is `step`.
        """
        lowest, highest = self.integers(low, high)
        return (-highest if self.symmetric else lowest) * step, highest * step

    def channels_last(self, kernel: Any, channel_axes: Sequence[int]) -> tuple[Any, int, Callable[[Any], Any]]:
        """A kernel with the axes that index its ranges moved to the end.

        Args:
            kernel: float tensor.
            channel_axes: axes that index channels, in rising order; empty for one range.
        Returns:
            (moved, count, back): the moved kernel, how many of its last axes index ranges, and the function that
            brings a tensor of its shape back into the shape of the kernel.
        """
        # Reads the value: Keras 3.15 hands TensorFlow variables on unread, and its fake quantization refuses them.
        shape = tuple(kernel.shape)
        axes = tuple(channel_axes)
        whole = shape
        if isinstance(self.granularity, PerGroup):
            whole = (*shape[:-2], shape[-2] // self.granularity.size, self.granularity.size, shape[-1])
            axes = (len(shape) - 2, len(shape))
        kernel = ops.reshape(kernel, whole)  # (..., I / size, size, O) in groups
        order = (*(axis for axis in range(len(whole)) if axis not in axes), *axes)
        if order == tuple(range(len(whole))):
            return kernel, len(axes), lambda moved: moved if whole == shape else ops.reshape(moved, shape)
        undo = sorted(range(len(whole)), key=order.__getitem__)
        return ops.transpose(kernel, order), len(axes), lambda moved: ops.reshape(ops.transpose(moved, undo), shape)

    def measure_moved(self, moved: Any, count: int) -> tuple[Any, Any]:
        """Ranges of a kernel that `channels_last` moved, shaped like its last `count` axes."""
        return self.measure(ops.stop_gradient(moved), tuple(range(len(moved.shape) - count)))

    def quantize_kernel(self, kernel: Any, channel_axes: Sequence[int] = ()) -> Any:
        """Round a kernel onto the grid of its own present range.

        Args:
            kernel: float tensor.
            channel_axes: axes that index channels, in rising order; empty for one range.
        Returns:
            Tensor like `kernel`; gradients pass straight through where the range holds the value.
        """
        moved, count, back = self.channels_last(kernel, channel_axes)
        return back(self.quantize(moved, *self.measure_moved(moved, count), count))

    def unexportable(self) -> str | None:
        """Why LiteRT cannot run what has this scheme; None if it can.

        >>> Scheme(granularity=PerGroup(32)).unexportable()
        'PerGroup(size=32): LiteRT has no kernels with groups'
        """
        if isinstance(self.granularity, PerGroup):
            return f"{self.granularity}: LiteRT has no kernels with groups"
        return None


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
    if not of_weights and not isinstance(value.granularity, PerTensor):
        raise check.refuse(argument, "must be per tensor", value.granularity, "Use granularity=PerTensor().")
    return value
