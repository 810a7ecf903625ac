"""The range whose rounding error is smallest in the mean square."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from keras import ops

from keras_arch.compression.quantization.observers.columns import columns
from keras_arch.compression.quantization.observers.min_max import MinMax
from keras_arch.compression.quantization.observers.moving_average import MovingAverage
from keras_arch.core import check
from keras_arch.core.registration import register


@register
@dataclasses.dataclass(frozen=True)
class MSE(MinMax):
    """The range whose rounding error is smallest in the mean square, among shrunken copies of the whole range.

    range = f * (min(0, all x), max(0, all x)),  f in {1, 1 - 1/n, ..., 1/n} that minimises mean((x - rounded x)**2)

    Clipping few large values pays where the grid is coarse: at 2 to 4 bits. Both ends shrink alike, each channel by
    itself; of equal factors the largest is taken. The search is made for each batch, and the ranges of many batches
    are averaged as `MovingAverage` does. It rounds the tensor n times, for kernels at every training step.

    Args:
        candidates: n, number of factors, >= 1.
        decay: see `MovingAverage`.
    Raises:
        ValueError: if an argument breaks its rule.
    Source: Choukroun et al. 2019, arXiv:1902.06822, for the criterion; the search is ours.

    >>> x = np.random.default_rng(0).normal(size=10_000)
    >>> scheme = ka.compression.Scheme(bits=2, narrow=True, observer="mse")
    >>> low, high = scheme.measure(x)
    >>> 1.0 < float(high) < 1.5 < float(x.max())
    True
    """

    covers: ClassVar[bool] = False
    takes_scheme: ClassVar[bool] = True

    candidates: int = 40
    decay: float = 0.99

    def __post_init__(self) -> None:
        check.integer("candidates", self.candidates)
        MovingAverage(self.decay)

    def measure(self, x: Any, axes: Sequence[int] | None, scheme: Any) -> tuple[Any, Any]:
        """Range of one tensor.

        Args:
            x: tensor of any shape.
            axes: see `MinMax.measure`.
            scheme: the `Scheme` whose grid the tensor is rounded on.
        Returns:
            (low, high), see `MinMax.measure`.
        """
        matrix, shape = columns(ops.cast(x, "float32"), axes)  # (N, C)
        low, high = super().measure(matrix, (0,))

        def error(factor: Any) -> Any:
            rounded = scheme.quantize(matrix, factor * low, factor * high, channel_axes=1)
            return ops.mean(ops.square(matrix - rounded), axis=0)  # (C,)

        def better(i: Any, best: tuple[Any, Any]) -> tuple[Any, Any]:
            factor = 1.0 - ops.cast(i, "float32") / self.candidates
            found = error(factor)
            wins = found < best[0]
            return ops.where(wins, found, best[0]), ops.where(wins, factor, best[1])

        _, factor = ops.fori_loop(1, self.candidates, better, (error(1.0), ops.ones_like(low)))
        return ops.reshape(factor * low, shape), ops.reshape(factor * high, shape)

    def merge(self, low: Any, high: Any, new_low: Any, new_high: Any, batches: Any) -> tuple[Any, Any]:
        """Join the range kept so far with that of one more batch; see `MinMax.merge`."""
        return MovingAverage(self.decay).merge(low, high, new_low, new_high, batches)

    def pool(self, low: Any, high: Any, new_low: Any, new_high: Any, batches: Any) -> tuple[Any, Any]:
        """The mean of the batches' ranges; see `MinMax.pool`."""
        return MovingAverage(self.decay).pool(low, high, new_low, new_high, batches)
