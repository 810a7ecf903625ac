"""The linearly scaled hyperbolic tangent."""

from typing import Any

from keras import ops

from keras_arch.core.registration import register
from keras_arch.ops.precision import at_least_float32


@register
def lisht(x: Any) -> Any:
    """Multiply by the hyperbolic tangent: an even, non-negative function that tends to |x|.

    y = x · tanh(x)

    Args:
        x: float tensor of any shape. In half precision the tangent is taken in float32 and the product cast last.
    Returns:
        Tensor of the shape and dtype of `x`, >= 0.
    Source: Roy et al. 2019, arXiv:1901.05894.

    >>> keras.ops.convert_to_numpy(ka.activations.lisht(np.array([-100.0, 0.0, 100.0]))).tolist()
    [100.0, 0.0, 100.0]
    """
    wide = ops.cast(x, at_least_float32(x.dtype))
    return ops.cast(wide * ops.tanh(wide), x.dtype)
