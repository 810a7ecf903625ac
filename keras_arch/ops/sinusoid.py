"""Sines and cosines of `position * frequency`, exact to the last bits of float32 at any position."""

import math

import keras
import numpy as np
from keras import ops

from keras_arch.core import check

TURN = 2**32  # one full turn in the fixed-point phases below: int32 overflow is the reduction modulo a turn
_STEP = 2 * math.pi / 2**18  # radians of 2**14 of these units, as a sum of 8 leading bits and the rest
_COARSE = math.floor(_STEP * 2**23) / 2**23
_FINE = _STEP - _COARSE


def sinusoid_frequencies(size: int, max_wavelength: float = 10000.0) -> np.ndarray:
    """Frequencies of the feature pairs of a sinusoidal position encoding.

    frequency[i] = max_wavelength ** (-2 i / D), in radians per position.   i: feature pair, D: feature size.

    Args:
        size: D, features, even and >= 2.
        max_wavelength: the longest wavelength is nearly 2 pi times this many positions; >= 1.
    Returns:
        float64 NumPy array, shape (D / 2,), falling from 1.
    Raises:
        ValueError: if `size` is odd or below 2, or `max_wavelength` is below 1.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    >>> sinusoid_frequencies(4).round(4).tolist()
    [1.0, 0.01]
    """
    size = check.integer("size", size, minimum=2)
    if size % 2:
        advice = f"Use size={size + 1}, or project the features to an even size."
        raise check.refuse("size", "must be even to pair a sine with a cosine", size, advice)
    max_wavelength = check.real("max_wavelength", max_wavelength, minimum=1.0, maximum=math.inf, open_maximum=True)
    return max_wavelength ** (-np.arange(0, size, 2, dtype="float64") / size)


def sine_and_cosine(positions: object, frequencies: object, dtype: str = "float32") -> tuple[object, object]:
    """Sine and cosine of position times frequency, without losing the phase at large positions.

    sine[..., i] = sin(position * frequency[i]),  cosine[..., i] = cos(position * frequency[i])

    `position * frequency` in float32 is off by 0.03 rad at position 1e6. Here the frequency is a fixed-point number of
    2**-32 turns per position and the product is taken in int32, whose overflow drops whole turns and nothing else; what
    the rounding of the frequency leaves out is added from a float32 product of at most half a unit per position. The
    phase is within 1e-9 rad for |position| up to 2**24, and both results within float32's machine epsilon of the truth.

    Args:
        positions: integer tensor of any shape, in tokens; may be negative.
        frequencies: float64 NumPy array, shape (F,), in radians per position, each within (-pi, pi); or a float tensor,
            whose own rounding then counts.
        dtype: of the results. Below float32 they are computed in float32 and cast last; "float64" multiplies plainly.
    Returns:
        Two tensors of that dtype, shape `positions.shape + (F,)`.
    Raises:
        ValueError: if the positions are not integers.

    >>> sine, cosine = sine_and_cosine([0, 1_000_000], np.array([1.0]))
    >>> keras.ops.convert_to_numpy(sine)[:, 0].round(6).tolist() == np.sin([0, 1e6]).round(6).astype("float32").tolist()
    True
    """
    positions = ops.convert_to_tensor(positions)
    if not keras.backend.is_int_dtype(positions.dtype):
        received = keras.backend.standardize_dtype(positions.dtype)
        raise ValueError(f"positions must be integers; received the dtype {received}. Cast them to int32.")
    positions = ops.expand_dims(positions, -1)  # (..., 1)
    if dtype == "float64":
        angle = ops.cast(positions, "float64") * ops.convert_to_tensor(frequencies, dtype="float64")
        return ops.sin(angle), ops.cos(angle)

    quarter, angle = _reduced_phase(ops.cast(positions, "int32"), *_fixed_point(frequencies))
    sine, cosine = ops.sin(angle), ops.cos(angle)
    odd = ops.equal(ops.abs(quarter), 1)  # a quarter turn more or less swaps the two
    sine, cosine = ops.where(odd, cosine, sine), ops.where(odd, sine, cosine)
    sine = ops.where(ops.less(quarter, 0), -sine, sine)
    cosine = ops.where(ops.equal(ops.abs(2 * quarter + 1), 3), -cosine, cosine)  # q is 1 or -2
    return ops.cast(sine, dtype), ops.cast(cosine, dtype)


def _fixed_point(frequencies: object) -> tuple[object, object]:
    """Frequencies in units of 2**-32 turns per position: the whole units (int32), and what is left of one (float32)."""
    if keras.ops.is_tensor(frequencies):
        units = frequencies * (TURN / (2 * math.pi))
        whole = ops.round(units)
        return ops.cast(whole, "int32"), ops.cast(units - whole, "float32")
    units = np.asarray(frequencies, "float64") / (2 * np.pi) * TURN
    whole = np.round(units)
    return ops.convert_to_tensor(whole.astype("int32")), ops.convert_to_tensor((units - whole).astype("float32"))


def _reduced_phase(positions: object, whole: object, part: object) -> tuple[object, object]:
    """Split position * (whole + part) into quarter turns q in [-2, 1] (int32) and a rest of <= pi/4 (float32)."""
    phase = positions * whole  # (..., F), wraps around
    rest = ops.cast(positions, "float32") * part
    rounded = ops.round(rest)
    phase = phase + ops.cast(rounded, "int32")
    quarter = ops.right_shift(phase + TURN // 8, 30)
    phase = phase - ops.left_shift(quarter, 30)  # |phase| <= TURN / 8

    # To radians with one rounding: the upper 16 bits times an 8-bit constant are exact in float32.
    upper = ops.right_shift(phase, 14)
    lower = ops.cast(phase - ops.left_shift(upper, 14), "float32") + (rest - rounded)
    upper = ops.cast(upper, "float32")
    return quarter, upper * _COARSE + (upper * _FINE + lower * (2 * math.pi / TURN))


def sinusoid(positions: object, size: int, max_wavelength: float = 10000.0, dtype: str = "float32") -> object:
    """Sinusoidal position encoding.

    encoding[..., 2 i] = sin(position * frequency[i]),  encoding[..., 2 i + 1] = cos(position * frequency[i]),
    frequency[i] = max_wavelength ** (-2 i / D).   D: feature size, i: feature pair.

    Args:
        positions: integer tensor of any shape, in tokens.
        size: D, features, even.
        max_wavelength: see `sinusoid_frequencies`.
        dtype: of the encoding; each value is within the machine epsilon of that dtype, up to position 2**24.
    Returns:
        Tensor, shape `positions.shape + (D,)`, within [-1, 1].
    Raises:
        ValueError: if `size` is odd or the positions are not integers.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5. Positions count from 0.

    >>> keras.ops.convert_to_numpy(sinusoid([0, 1], 4)).round(3).tolist()
    [[0.0, 1.0, 0.0, 1.0], [0.8410000205039978, 0.5400000214576721, 0.009999999776482582, 1.0]]
    """
    pairs = ops.stack(sine_and_cosine(positions, sinusoid_frequencies(size, max_wavelength), dtype), axis=-1)
    return ops.reshape(pairs, (*ops.shape(pairs)[:-2], size))  # (..., D)
