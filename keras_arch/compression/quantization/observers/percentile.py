"""The range that leaves out the rarest values at either end."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

from keras import ops

from keras_arch.compression.quantization.observers.columns import columns
from keras_arch.compression.quantization.observers.min_max import MinMax
from keras_arch.compression.quantization.observers.moving_average import MovingAverage
from keras_arch.core import check
from keras_arch.core.registration import register


def upper_quantile(x: Any, tail: float) -> Any:
    """Quantile of each row, counted from its greatest value, linear between neighbours as NumPy's default.

    position = tail * (N - 1);  quantile = x[floor] + (position - floor) * (x[floor + 1] - x[floor]),  x descending

    `keras.ops.quantile` sorts every value, 50 times slower for a short tail, and refuses more than 2**24 values on
    torch (Keras 3.15), which an activation easily has.

    Args:
        x: float32 tensor, shape (C, N), N >= 1.
        tail: share of the values above the quantile, in [0, 1].
    Returns:
        float32 tensor, shape (C,).

    >>> float(upper_quantile(np.float32([[0.0, 4.0, 1.0]]), 0.25)[0])
    2.5
    """
    count = ops.shape(x)[-1]
    if isinstance(count, int):
        position = tail * (count - 1)
        below = math.floor(position)
        kept = min(below + 2, count)
    else:  # on TensorFlow, a batch whose size only the running step knows
        position = tail * ops.cast(count - 1, "float32")
        below = ops.cast(ops.floor(position), "int32")
        kept = ops.minimum(below + 2, count)
    greatest, _ = ops.top_k(x, kept)  # (C, kept)
    first, second = ops.take(greatest, below, axis=-1), greatest[:, -1]
    return first + (position - ops.cast(below, "float32")) * (second - first)


@register
@dataclasses.dataclass(frozen=True)
class Percentile(MinMax):
    """The range that leaves out the rarest values at either end.

    low = min(0, the (100 - percentile)-th percentile of x);  high = max(0, the percentile-th)

    What lies outside is clipped, and its kernel values get no gradient. Where both percentiles are 0, in a tensor of
    almost only zeros, the range is that of `MinMax`. Percentiles are taken of each batch, and those of many batches are
    averaged as `MovingAverage` does, since a percentile of all batches would need all their values. A value that is not
    finite makes the range NaN, which freezing refuses.

    Args:
        percentile: in (50, 100]; 100 is `MinMax` within a batch.
        decay: see `MovingAverage`.
    Raises:
        ValueError: if an argument is outside its interval.
    Source: Wu et al. 2020, arXiv:2004.09602, who take it of |x|; here each end has its own.

    >>> observer = ka.compression.quantization.observers.Percentile(percentile=75)
    >>> low, high = observer.measure(np.float32([-4.0, 0.0, 1.0, 2.0, 100.0]))
    >>> float(low), float(high)
    (0.0, 2.0)
    """

    covers: ClassVar[bool] = False

    percentile: float = 99.99
    decay: float = 0.99

    def __post_init__(self) -> None:
        check.real("percentile", self.percentile, minimum=50, maximum=100, open_minimum=True)
        MovingAverage(self.decay)

    def measure(self, x: Any, axes: Sequence[int] | None = None) -> tuple[Any, Any]:
        """Range of one tensor; see `MinMax.measure`."""
        least, greatest = super().measure(x, axes)
        matrix, shape = columns(ops.cast(x, "float32"), axes)
        rows = ops.transpose(matrix)  # (C, N)
        tail = 1 - self.percentile / 100
        low = ops.minimum(ops.reshape(-upper_quantile(-rows, tail), shape), 0.0)
        high = ops.maximum(ops.reshape(upper_quantile(rows, tail), shape), 0.0)
        empty = ops.equal(low, high)
        low, high = ops.where(empty, least, low), ops.where(empty, greatest, high)
        finite = ops.reshape(ops.all(ops.isfinite(rows), axis=-1), shape)
        return ops.where(finite, low, math.nan), ops.where(finite, high, math.nan)

    def merge(self, low: Any, high: Any, new_low: Any, new_high: Any, batches: Any) -> tuple[Any, Any]:
        """Join the range kept so far with that of one more batch; see `MinMax.merge`."""
        return MovingAverage(self.decay).merge(low, high, new_low, new_high, batches)

    def pool(self, low: Any, high: Any, new_low: Any, new_high: Any, batches: Any) -> tuple[Any, Any]:
        """The mean of the batches' ranges; see `MinMax.pool`."""
        return MovingAverage(self.decay).pool(low, high, new_low, new_high, batches)
