"""One range of a quantized layer whose step is a trained weight."""

from typing import Any

import keras
from keras import ops

from keras_arch.compression.quantization.scheme import Scheme
from keras_arch.ops.fake_quant import learned_fake_quant

SMALLEST_STEP = 1e-12


class LearnedRange:
    """One range whose step is a trained weight.

    While it is trained, `low` and `high` say where zero lies and `step` how far the grid reaches; before and after they
    say both.

    Args:
        scheme: how the tensor is rounded.
        low: variable, lower end.
        high: variable, upper end.
        step: trainable variable shaped like `low`.

    >>> low, high, step = (keras.Variable(value) for value in (-2.0, 2.0, 0.0))
    >>> learned = LearnedRange(Scheme(3, narrow=True), low, high, step)
    >>> learned.start()
    >>> _ = step.assign(3 * step.value)
    >>> [round(float(end), 4) for end in learned.ends()]
    [-6.0, 6.0]
    """

    def __init__(self, scheme: Scheme, low: keras.Variable, high: keras.Variable, step: keras.Variable) -> None:
        self.scheme, self.low, self.high, self.step = scheme, low, high, step

    @property
    def value(self) -> Any:
        """The step, positive wherever the optimizer has led it."""
        return ops.maximum(ops.abs(self.step.value), SMALLEST_STEP)

    def start(self) -> None:
        """Take the step from the range."""
        self.step.assign(self.scheme.step(self.low.value, self.high.value))

    def settle(self) -> None:
        """Take the range from the step."""
        low, high = self.ends()
        self.low.assign(low)
        self.high.assign(high)

    def ends(self) -> tuple[Any, Any]:
        """The range that the step reaches."""
        return self.scheme.range_of_step(self.low.value, self.high.value, self.value)

    def quantize(self, x: Any, values: Any) -> Any:
        """Round `x` so that the step is trained.

        Args:
            x: float tensor, whose last axes are those of the step.
            values: N of the gradient's factor 1 / sqrt(N q_max), how many values share the step.
        """
        lowest, highest = self.scheme.integers(self.low.value, self.high.value)
        largest = ops.where(highest > 0, highest, -lowest)
        scale = ops.rsqrt(ops.cast(values, "float32") * largest)
        return learned_fake_quant(x, self.value, lowest, highest, scale)
