"""An activation for periodic signals."""

from typing import Any

from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.precision import at_least_float32

SMALLEST = 2.0**-126  # float32 has nothing below with all its bits, and some processors take it for 0


@register
def snake(x: Any, a: Any = 1.0) -> Any:
    """Add a squared sine to the input, so that a network can learn periods and extrapolate them.

    y = x + sin²(a x) / a,   y = x in the limit a = 0.

    dy/dx = 1 + sin(2 a x) >= 0, so the function is monotone, and y - x lies in [0, 1 / a].

    Args:
        x: float tensor of any shape. In half precision the phase a x is computed in float32 and the sum cast last.
        a: frequency in radians per unit of x: a number >= 2^-126, or a tensor >= 0 that broadcasts to `x`. The paper
            takes 0.2 to 1 for common tasks, 5 to 50 where data is known to oscillate. `keras_arch.layers.Snake` learns
            it.
    Returns:
        Tensor of the shape and dtype of `x`.
    Raises:
        ValueError: for a number that is not positive, or too small for float32.
    Source: Ziyin et al. 2020, arXiv:2006.08195.

    >>> keras.ops.convert_to_numpy(ka.activations.snake(np.array([0.0, np.pi / 2, np.pi]))).round(4).tolist()
    [0.0, 2.5708, 3.1416]
    """
    wide = ops.cast(x, at_least_float32(x.dtype))
    if isinstance(a, int | float):
        a = check.real("a", a, minimum=SMALLEST, maximum=float("inf"), open_maximum=True)
        sine = ops.sin(a * wide)
        return ops.cast(wide + sine * (sine / a), x.dtype)  # not sine² / a, whose square is lost to 0 for a tiny a
    a = ops.cast(a, wide.dtype)
    zero = a == 0
    sine = ops.sin(a * wide)
    bump = sine * (sine / ops.where(zero, ops.ones_like(a), a))
    # Beside a = 0 the bump is a x², which passes its slope x² on to a frequency that is 0.
    still = ops.where(zero, wide, ops.zeros_like(wide))
    return ops.cast(wide + bump + a * still * still, x.dtype)
