"""Range maths of fake quantization: integer grids, steps, rounding onto the grid with a straight-through gradient."""

from typing import Any

import keras
from keras import ops


def grid_limits(bits: int, narrow: bool = False) -> tuple[int, int]:
    """Smallest and largest integer of the grid that `bits` bits count.

    full grid: 0 .. 2**bits - 1;  narrow grid: 1 .. 2**bits - 1, one value fewer, so it is symmetric about its middle.

    Args:
        bits: 2 to 16.
        narrow: leave out the lowest value.
    Returns:
        (lowest, highest).

    >>> grid_limits(8), grid_limits(8, narrow=True)
    ((0, 255), (1, 255))
    """
    return int(narrow), 2**bits - 1


def symmetric_range(bound: Any, bits: int, narrow: bool = True) -> tuple[Any, Any]:
    """Range about zero that holds [-bound, bound] and has zero exactly in the middle of its grid.

    narrow: (-b, b);  full: (-b * 2**(bits-1) / (2**(bits-1) - 1), b), the extra step lies on the negative side.

    Args:
        bound: b, tensor of any shape, >= 0.
        bits: 2 to 16.
        narrow: whether the grid is the narrow one.
    Returns:
        (low, high), tensors shaped like `bound`.

    >>> [float(end) for end in symmetric_range(np.float32(127.0), 8, narrow=False)]
    [-128.0, 127.0]
    """
    bound = ops.cast(bound, "float32")
    half = 2 ** (bits - 1)
    return (-bound if narrow else -bound * (half / (half - 1)), bound)


def nudged_range(low: Any, high: Any, bits: int, narrow: bool = False) -> tuple[Any, Any, Any]:
    """Range moved by less than half a step so that zero is a point of its grid, and the step of that grid.

    step = (high - low) / (q_max - q_min)
    zero = clip(round(q_min - low / step), q_min, q_max)
    low' = (q_min - zero) * step;  high' = (q_max - zero) * step

    q_min, q_max: `grid_limits(bits, narrow)`; zero: the integer that stands for 0.0, rounded half up.

    Args:
        low: tensor of any shape, <= 0.
        high: tensor of the same shape, >= 0 and above `low`.
        bits: 2 to 16.
        narrow: whether the grid is the narrow one.
    Returns:
        (low', high', step), float32 tensors shaped like `low`.
    Source: Jacob et al. 2018, arXiv:1712.05877, section 3.1.

    >>> low, high, step = nudged_range(-0.9, 2.1, bits=2)
    >>> print([round(float(value), 3) for value in (low, high, step)])
    [-1.0, 2.0, 1.0]
    """
    low, high = ops.cast(low, "float32"), ops.cast(high, "float32")
    lowest, highest = grid_limits(bits, narrow)
    step = (high - low) / (highest - lowest)
    zero = ops.clip(ops.floor(lowest - low / step + 0.5), lowest, highest)
    return (lowest - zero) * step, (highest - zero) * step, step


def fake_quant(x: Any, low: Any, high: Any, bits: int = 8, narrow: bool = False, channel_axes: int = 0) -> Any:
    """Round onto the integer grid of a range and back to float, with a straight-through gradient.

    y = step * round((clip(x, low', high') - low') / step) + low'
    dy/dx = 1 where low' <= x <= high', else 0

    low', high', step: `nudged_range(low, high, bits, narrow)`. Zero maps to zero exactly.

    Args:
        x: float tensor of any shape.
        low: lower end, <= 0: a scalar, or one value a channel.
        high: upper end, >= 0, shaped like `low`.
        bits: 2 to 16.
        narrow: whether the grid is the narrow one.
        channel_axes: how many of the last axes of `x` index channels, 0 for one range for the whole tensor;
            `low` and `high` are then shaped like these axes.
    Returns:
        Tensor with shape and dtype of `x`. It is computed in float32; the cast back to a low precision may leave the
        grid by that precision's own rounding.

    On TensorFlow these are the `tf.quantization` operations, which the LiteRT converter reads as quantized tensors.
    Source: Jacob et al. 2018, arXiv:1712.05877.

    >>> x = np.array([-2.0, -0.6, 0.0, 0.4, 2.0], "float32")
    >>> print(np.round(ops.convert_to_numpy(fake_quant(x, -1.0, 1.0, bits=2, narrow=True)), 3))
    [-1. -1.  0.  0.  1.]
    """
    x = ops.convert_to_tensor(x)
    shape, dtype = x.shape, x.dtype
    x = ops.cast(x, "float32")
    if channel_axes == 0:
        y = keras.quantizers.fake_quant_with_min_max_vars(x, low, high, num_bits=bits, narrow_range=narrow)
        return ops.cast(y, dtype)
    if channel_axes > 1:
        # The operation knows one channel axis, the last.
        x = ops.reshape(x, (*shape[:-channel_axes], -1))  # (..., C)
        low, high = ops.reshape(low, (-1,)), ops.reshape(high, (-1,))  # (C,)
    y = keras.quantizers.fake_quant_with_min_max_vars(x, low, high, num_bits=bits, narrow_range=narrow, axis=-1)
    if channel_axes > 1:
        y = ops.reshape(y, shape)  # (..., C1, C2)
    return ops.cast(y, dtype)


def straight_through(x: Any, y: Any) -> Any:
    """The values of one tensor with the gradient of another.

    z = y;  dz/dx = 1, dz/dy = 0

    What is rounded over a range that holds all its values has this gradient; it costs no operation on the values.

    Args:
        x: float tensor that gradients flow to.
        y: tensor of the same shape and dtype.
    Returns:
        Tensor equal to `y`.
    Source: Bengio et al. 2013, arXiv:1308.3432.

    >>> float(straight_through(ops.convert_to_tensor(0.8), ops.convert_to_tensor(1.0)))
    1.0
    """

    @ops.custom_gradient
    def hand_on(x: Any, y: Any) -> tuple[Any, Any]:
        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, Any]:
            upstream = args[0] if upstream is None else upstream  # PyTorch names it
            return upstream, ops.zeros_like(upstream)

        return ops.convert_to_tensor(y), gradient

    return hand_on(x, ops.stop_gradient(y))


def learned_fake_quant(x: Any, step: Any, lowest: Any, highest: Any, scale: Any = 1.0) -> Any:
    """Round onto an integer grid whose step has a gradient too (LSQ).

    y = step * round(clip(x / step, lowest, highest))
    dy/dx = 1 where lowest <= x / step <= highest, else 0
    dy/dstep = scale * (round(x / step) - x / step inside; lowest below; highest above)

    Args:
        x: float tensor of any shape.
        step: > 0, float32: a scalar, or shaped like the last axes of `x`.
        lowest: smallest integer of the grid, <= 0, as float32.
        highest: largest integer of the grid, >= 0.
        scale: factor of the step's gradient; the source has 1 / sqrt(N * highest), N: how many values share the step.
    Returns:
        Tensor with shape and dtype of `x`, computed in float32. Halves are rounded up.
    Source: Esser et al. 2020, arXiv:1902.08153, equations 1 to 3 and section 2.2.

    >>> ops.convert_to_numpy(learned_fake_quant(np.float32([-9.0, 0.4, 0.8, 9.0]), 0.5, -3.0, 3.0)).tolist()
    [-1.5, 0.5, 1.0, 1.5]
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    x, step, scale = (ops.cast(value, "float32") for value in (x, step, scale))
    step = step * scale + ops.stop_gradient(step - step * scale)  # the value of step, a scaled gradient
    ratio = ops.minimum(ops.maximum(x / step, lowest), highest)
    rounded = ratio + ops.stop_gradient(ops.floor(ratio + 0.5) - ratio)
    return ops.cast(rounded * step, dtype)


def at_ends(x: Any, low: Any, high: Any, bits: int = 8, narrow: bool = False) -> Any:
    """Where a tensor reaches an end of its grid or lies beyond, up to a thousandth of a step.

    An end that is zero, such as the lower one after ReLU, does not count: what is below it was cut off on purpose.

    Args:
        x: float tensor.
        low: lower end, <= 0: a scalar, or shaped like the last axes of `x`.
        high: upper end, shaped like `low`.
        bits: see `fake_quant`.
        narrow: see `fake_quant`.
    Returns:
        Boolean tensor shaped like `x`; its mean is the saturation rate.

    >>> ops.convert_to_numpy(at_ends(np.array([-2.0, 0.0, 0.5, 1.0, 7.0]), -1.0, 1.0, narrow=True)).tolist()
    [True, False, False, True, True]
    """
    first, last, step = nudged_range(low, high, bits, narrow)
    x, slack = ops.cast(x, "float32"), step / 1000
    below = ops.logical_and(x <= first + slack, first < 0)
    return ops.logical_or(below, ops.logical_and(x >= last - slack, last > 0))


def sqnr_db(signal: Any, quantized: Any) -> Any:
    """Signal-to-quantization-noise ratio in decibels.

    sqnr = 10 log10(sum(signal**2) / sum((signal - quantized)**2))

    Args:
        signal: tensor of any shape.
        quantized: tensor of the same shape.
    Returns:
        float32 scalar; infinite for a perfect copy. Each bit more adds about 6.02 dB.

    >>> round(float(sqnr_db(np.array([3.0, 4.0]), np.array([3.0, 4.5]))), 2)
    20.0
    """
    signal, quantized = ops.cast(signal, "float32"), ops.cast(quantized, "float32")
    noise = ops.sum(ops.square(signal - quantized))
    return 10.0 * (ops.log10(ops.sum(ops.square(signal))) - ops.log10(noise))
