"""What is taken from an input to see whether an explanation foretells the change: random, and the same for each sample.

A disturbance I is written as  I = mask · (x - baseline) + shift,  so that x - I is what the model sees.
"""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.core.value import Value
from keras_arch.explain.metrics.positions import channel_axis


def _stddev(value: float) -> float:
    return check.real("stddev", value, minimum=0, maximum=float("inf"), open_minimum=True, open_maximum=True)


@register
@dataclasses.dataclass(frozen=True)
class GaussianNoise(Value):
    """A small disturbance of every feature: I ~ N(0, stddev²).

    Args:
        stddev: standard deviation in the input's unit, > 0.

    >>> mask, shift = ka.explain.metrics.GaussianNoise(0.5).draw((1000,), np.random.default_rng(0))
    >>> mask.tolist(), round(float(shift.std()), 2)
    ([0.0], 0.49)
    """

    baseline: ClassVar[float] = 0.0

    stddev: float = 0.1

    def __post_init__(self) -> None:
        _stddev(self.stddev)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Mask and shift for one input, float32, that broadcast to its shape without the batch."""
        return np.zeros([1] * len(shape), "float32"), generator.normal(0, self.stddev, shape).astype("float32")


@register
@dataclasses.dataclass(frozen=True)
class NoisyBaseline(Value):
    """A disturbance that takes the whole input away: I = x - (baseline + e), e ~ N(0, stddev²).

    Args:
        stddev: standard deviation in the input's unit, > 0.
        baseline: a number for every feature of every input.

    >>> mask, shift = ka.explain.metrics.NoisyBaseline(0.5).draw((1000,), np.random.default_rng(0))
    >>> mask.tolist(), round(float(shift.std()), 2)
    ([1.0], 0.49)
    """

    stddev: float = 0.1
    baseline: float = 0.0

    def __post_init__(self) -> None:
        _stddev(self.stddev)
        _number(self.baseline)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Mask and shift for one input, float32, that broadcast to its shape without the batch."""
        return np.ones([1] * len(shape), "float32"), -generator.normal(0, self.stddev, shape).astype("float32")


@register
@dataclasses.dataclass(frozen=True)
class SquareRemoval(Value):
    """A disturbance that takes one square away: I = x - baseline inside it, 0 elsewhere.

    The square, a stretch of time or of features where there is one axis, a cube where there are three, lies anywhere
    within the input with equal chance, all channels together.

    Args:
        side: its length along each axis of positions, no longer than the axis, >= 1.
        baseline: a number for every feature of every input.

    >>> ka.explain.metrics.SquareRemoval(side=2).draw((4, 4, 3), np.random.default_rng(0))[0].sum()
    np.float32(4.0)
    """

    side: int = 3
    baseline: float = 0.0

    def __post_init__(self) -> None:
        check.integer("side", self.side)
        _number(self.baseline)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Mask and shift for one input, float32, that broadcast to its shape without the batch."""
        channels = channel_axis(len(shape) + 1)
        size = [1 if axis + 1 == channels else length for axis, length in enumerate(shape)]
        mask = np.zeros(size, "float32")
        first = [generator.integers(0, max(length - self.side, 0) + 1) for length in size]
        mask[tuple(slice(start, start + self.side) for start in first)] = 1
        return mask, np.zeros([1] * len(shape), "float32")


def _number(baseline: Any) -> None:
    check.real("baseline", baseline, minimum=-float("inf"), maximum=float("inf"))


def draws(
    disturbance: Any, shapes: list[tuple[int, ...]], count: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Masks and shifts of so many disturbances for each input, (count, ...) each.

    Args:
        disturbance: has `draw`, as the classes here.
        shapes: of the inputs, without the batch.
        count: how many.
        seed: of the draws; draw k does not depend on how many there are.

    >>> [(mask, shift)] = draws(GaussianNoise(), [(2,)], count=5, seed=0)
    >>> mask.shape, shift.shape
    ((5, 1), (5, 2))
    """
    found: list[list] = [[] for _ in shapes]
    for number in range(count):
        generator = np.random.default_rng([seed, number])
        for kept, shape in zip(found, shapes, strict=True):
            kept.append(disturbance.draw(shape, generator))
    return [tuple(np.stack(part) for part in zip(*kept, strict=True)) for kept in found]
