"""Exponential moving average of the batches' ranges."""

import dataclasses
from typing import Any

from keras import ops

from keras_arch.compression.quantization.observers.min_max import MinMax
from keras_arch.core import check
from keras_arch.core.registration import register


@register
@dataclasses.dataclass(frozen=True)
class MovingAverage(MinMax):
    """Exponential moving average of the batches' ranges, started at the first batch's.

    low_1 = measured_1;  low_t = decay_t * low_(t-1) + (1 - decay_t) * measured_t;  high alike
    decay_t = min(decay, t / (t + 9)), so that the first batches, of a net that still moves, are soon forgotten

    In `calibrate` the net stands still, and every batch counts alike: decay_t = t / (t + 1), the mean.

    Args:
        decay: share of the old range that a batch leaves, in [0, 1).
    Raises:
        ValueError: if `decay` is outside [0, 1).
    Source: Jacob et al. 2018, arXiv:1712.05877, section 3.1; the slow start is ours.

    >>> observer = ka.compression.quantization.observers.MovingAverage(decay=0.9)
    >>> [float(end) for end in observer.merge(0.0, 0.0, -1.0, 3.0, batches=0)]
    [-1.0, 3.0]
    """

    decay: float = 0.99

    def __post_init__(self) -> None:
        check.real("decay", self.decay, minimum=0, maximum=1, open_maximum=True)

    def merge(self, low: Any, high: Any, new_low: Any, new_high: Any, batches: Any) -> tuple[Any, Any]:
        """Join the range kept so far with that of one more batch; see `MinMax.merge`."""
        count = ops.cast(batches, "float32")
        decay = ops.minimum(self.decay, count / (count + 9.0))
        return low + (1.0 - decay) * (new_low - low), high + (1.0 - decay) * (new_high - high)

    def pool(self, low: Any, high: Any, new_low: Any, new_high: Any, batches: Any) -> tuple[Any, Any]:
        """The mean of the batches' ranges; see `MinMax.pool`."""
        share = 1.0 / (ops.cast(batches, "float32") + 1.0)
        return low + share * (new_low - low), high + share * (new_high - high)
