"""How a layer's value is kept while its gradient becomes a rule, and what the inputs do not answer for is booked."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops


@dataclass(frozen=True)
class Ledger:
    """Makes a model homogeneous of degree one in its inputs and one more number that is 1.

    `keep(value, part)` = part + (value - part) · one, in which only `part` and `one` have gradients: the number is
    that of `value`. By Euler's theorem the score is Σ inputs · gradients + the gradient of `one`: what biases, ε and
    centred norms absorb. Where an operation without a rule is in the way, the sum fails.

    Args:
        one: scalar tensor of value 1 whose gradient is taken.
    """

    one: Any

    def keep(self, value: Any, part: Any) -> Any:
        """A tensor with the value of `value` and the gradients of `part`, in the dtype of `value`."""
        dtype = value.dtype
        value, part = wide(value), wide(part)  # float16 cannot hold sums of what is absorbed
        rest = ops.stop_gradient(value - part)
        return ops.cast(part + rest * self.one, dtype)

    def passed(self, before: Any, after: Any) -> Any:
        """Elementwise: relevance passes unchanged from `after` to `before`; only `before` has gradients."""
        x = wide(before)
        # A number below it has lost its digits in the dtype that it comes in.
        tiny = 1e-12 if keras.backend.standardize_dtype(before.dtype) == "float32" else 1e-3
        safe = ops.where(ops.abs(x) < tiny, ops.where(x < 0, -tiny, tiny), x)
        return self.keep(after, x * ops.stop_gradient(wide(after) / safe))


def wide(tensor: Any) -> Any:
    """float32, or float64 as it is."""
    return tensor if keras.backend.standardize_dtype(tensor.dtype) == "float64" else ops.cast(tensor, "float32")


def faded(tensor: Any, factor: float) -> Any:
    """The same tensor with its gradient scaled.

    >>> float(faded(keras.ops.ones(()), 0.25))
    1.0
    """
    if factor == 1:
        return tensor
    constant = ops.stop_gradient(tensor)
    return constant if factor == 0 else tensor * factor + constant * (1 - factor)
