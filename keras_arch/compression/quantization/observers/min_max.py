"""The smallest and the largest value ever seen."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from keras import ops

from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class MinMax(Value):
    """The smallest and the largest value ever seen.

    low = min(0, all x);  high = max(0, all x)

    Zero always lies in the range, so that padding, ReLU and pruned weights stay exact. An observer is any object with
    two methods: `measure` says the range of one tensor, `merge` how it joins the ranges of earlier batches. A third,
    `pool`, says how ranges join in `calibrate`, where no batch is newer than another; without it `merge` does.
    `covers` says that `measure` leaves no value out, which makes the gradient of kernels cheaper. `takes_scheme` says
    that `measure` has a third argument, the `Scheme`, for an observer that has to know the grid. `learns` says that the
    range is where the training of its step starts, see `LearnedStep`.

    Source: Jacob et al. 2018, arXiv:1712.05877.

    >>> low, high = ka.compression.quantization.observers.MinMax().measure(np.array([0.5, 2.0]))
    >>> float(low), float(high)
    (0.0, 2.0)
    """

    covers: ClassVar[bool] = True

    def measure(self, x: Any, axes: Sequence[int] | None = None) -> tuple[Any, Any]:
        """Range of one tensor.

        Args:
            x: tensor of any shape.
            axes: axes to reduce, None for all; the others index channels.
        Returns:
            (low, high), float32, shaped like the axes that are left; low <= 0 <= high.
        """
        low = ops.minimum(ops.cast(ops.min(x, axis=axes), "float32"), 0.0)
        high = ops.maximum(ops.cast(ops.max(x, axis=axes), "float32"), 0.0)
        return low, high

    def merge(self, low: Any, high: Any, new_low: Any, new_high: Any, batches: Any) -> tuple[Any, Any]:
        """Join the range kept so far with that of one more batch.

        Args:
            low: lower end kept so far, 0 before the first batch.
            high: upper end kept so far.
            new_low: lower end of this batch.
            new_high: upper end of this batch.
            batches: number of batches seen before this one, a scalar tensor.
        Returns:
            (low, high) to keep.
        """
        return ops.minimum(low, new_low), ops.maximum(high, new_high)

    def pool(self, low: Any, high: Any, new_low: Any, new_high: Any, batches: Any) -> tuple[Any, Any]:
        """Join ranges so that the order of the batches does not matter; arguments as in `merge`."""
        return self.merge(low, high, new_low, new_high, batches)
