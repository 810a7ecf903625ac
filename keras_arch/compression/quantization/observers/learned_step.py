"""The range whose step is trained with the weights."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from keras import ops

from keras_arch.compression.quantization.observers.columns import columns
from keras_arch.compression.quantization.observers.min_max import MinMax
from keras_arch.compression.quantization.observers.moving_average import MovingAverage
from keras_arch.core.registration import register


@register
@dataclasses.dataclass(frozen=True)
class LearnedStep(MinMax):
    """The range whose step is trained with the weights (LSQ).

    start: step = 2 mean(|x|) / sqrt(q_max);  then the optimizer moves it, see
    `keras_arch.ops.fake_quant.learned_fake_quant`

    q_max: the largest integer of the grid, counted from the one of zero. The step becomes a trainable weight of the
    quantized layer, one for each range. That of a kernel starts when the layer first rounds; that of an activation
    starts from the batches seen in the phase "observe", so train at least one epoch in it. In the phase "frozen" all
    stay. Where the grid is not symmetric the zero of an activation stays where the smallest and largest value put it.

    Exclude the steps from weight decay: `optimizer.exclude_from_weight_decay(var_names=["step"])`.

    Args:
        decay: see `MovingAverage`, for the start of activations.
    Raises:
        ValueError: if `decay` is outside its interval.
    Source: Esser et al. 2020, arXiv:1902.08153.

    >>> scheme = ka.compression.Scheme(bits=3, narrow=True, observer="learned_step")
    >>> low, high = scheme.measure(np.float32([-1.0, 3.0]))
    >>> print(round(float(high) / 3, 4), round(2 * 2 / 3**0.5, 4))
    2.3094 2.3094
    """

    covers: ClassVar[bool] = False
    takes_scheme: ClassVar[bool] = True
    learns: ClassVar[bool] = True

    decay: float = 0.99

    def __post_init__(self) -> None:
        MovingAverage(self.decay)

    def measure(self, x: Any, axes: Sequence[int] | None, scheme: Any) -> tuple[Any, Any]:
        """Range that training starts from.

        Args:
            x: tensor of any shape.
            axes: see `MinMax.measure`.
            scheme: the `Scheme` whose grid the tensor is rounded on.
        Returns:
            (low, high), see `MinMax.measure`.
        """
        matrix, shape = columns(ops.cast(x, "float32"), axes)  # (N, C)
        low, high = super().measure(matrix, (0,))
        lowest, highest = scheme.integers(low, high)
        largest = ops.where(highest > 0, highest, -lowest)  # a grid without positive values has no q_max
        step = 2.0 * ops.mean(ops.abs(matrix), axis=0) / ops.sqrt(largest)
        low, high = scheme.range_of_step(low, high, step)
        return ops.reshape(low, shape), ops.reshape(high, shape)

    def merge(self, low: Any, high: Any, new_low: Any, new_high: Any, batches: Any) -> tuple[Any, Any]:
        """Join the range kept so far with that of one more batch; see `MinMax.merge`."""
        return MovingAverage(self.decay).merge(low, high, new_low, new_high, batches)

    def pool(self, low: Any, high: Any, new_low: Any, new_high: Any, batches: Any) -> tuple[Any, Any]:
        """The mean of the batches' ranges; see `MinMax.pool`."""
        return MovingAverage(self.decay).pool(low, high, new_low, new_high, batches)
