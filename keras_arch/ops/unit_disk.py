"""Complex factors inside the unit circle, as linear recurrent units learn them."""

from typing import Any

import keras
from keras import ops

Tensor = Any


def decay_of(log_decay: Tensor, log_phase: Tensor) -> tuple[Tensor, Tensor]:
    """λ = exp(−exp(ν) + i exp(θ)), as its real and its imaginary part; |λ| < 1 for every ν.

    Args:
        log_decay: ν, floats of any shape.
        log_phase: θ, of the same shape; exp(θ) is an angle in radians.
    Returns:
        Two tensors of that shape.
    Source: Orvieto et al. 2023, arXiv:2303.06349, section 3.3.

    >>> real, imaginary = decay_of(np.log([0.5]), np.log([np.pi / 2]))
    >>> round(float(imaginary[0]), 4), abs(float(real[0])) < 1e-6  # exp(-0.5) i
    (0.6065, True)
    """
    radius, angle = ops.exp(-ops.exp(log_decay)), ops.exp(log_phase)
    return radius * ops.cos(angle), radius * ops.sin(angle)


def draw_decay(shape: tuple, min_radius: float, max_radius: float, seed: Any, dtype: Any = "float32") -> Tensor:
    """Draw ν so that λ is uniform on the ring between two radii.

    ν = log(−½ log(u (r₁² − r₀²) + r₀²)), u uniform in [0, 1).

    Args:
        shape: of the result.
        min_radius: r₀, in [0, 1).
        max_radius: r₁, in (r₀, 1).
        seed: int or `keras.random.SeedGenerator`.
        dtype: a float dtype.
    Returns:
        Tensor of that shape.
    Source: Orvieto et al. 2023, arXiv:2303.06349, lemma 3.2.

    >>> radius = np.exp(-np.exp(keras.ops.convert_to_numpy(draw_decay((100,), 0.5, 0.9, seed=0))))
    >>> bool(0.5 <= radius.min() < radius.max() <= 0.9)
    True
    """
    squares = keras.random.uniform(shape, min_radius**2, max_radius**2, seed=seed)
    squares = ops.clip(squares, keras.config.epsilon(), 1 - keras.config.epsilon())  # the logarithm of 0 is infinite
    return ops.cast(ops.log(-0.5 * ops.log(squares)), dtype)


def draw_phase(shape: tuple, max_phase: float, seed: Any, dtype: Any = "float32") -> Tensor:
    """Draw θ so that the angle exp(θ) is uniform between 0 and `max_phase` radians.

    >>> bool(keras.ops.all(draw_phase((100,), 0.5, seed=0) <= np.log(0.5)))
    True
    """
    least = max_phase * keras.config.epsilon()  # the logarithm of 0 is infinite
    return ops.cast(ops.log(keras.random.uniform(shape, least, max_phase, seed=seed)), dtype)


def input_scale(log_decay: Tensor) -> Tensor:
    """log γ with γ = sqrt(1 − |λ|²): inputs of variance 1 then give states of variance 1.

    Args:
        log_decay: ν, floats of any shape.
    Returns:
        Tensor of that shape.

    >>> round(float(input_scale(np.log(np.log([2.0])))[0]), 4)  # |λ| = 1 / 2, and log(0.75) / 2
    -0.1438
    """
    # 1 − exp(−2 exp(ν)) by expm1, which keeps its digits where |λ| is close to 1.
    return 0.5 * ops.log(-ops.expm1(-2 * ops.exp(ops.convert_to_tensor(log_decay))))
