"""States that keep their old value now and then."""

from typing import Any

import keras
from keras import ops

Tensor = Any
BASE = 256  # half precision holds whole numbers up to here exactly


class _KnownSeed(keras.random.SeedGenerator):
    """A seed that is given as a tensor: `keras.random` asks a SeedGenerator for it, and takes no tensor."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def next(self, ordered: bool = True) -> Tensor:
        return self.value


def zoneout(old: Tensor, new: Tensor, rate: float, uniform: Tensor | None) -> Tensor:
    """Keep each entry of `old` with probability `rate`, or mix by the expectation of that.

    s' = z s + (1 − z) s̃ with z ~ Bernoulli(rate);  E[s'] = rate s + (1 − rate) s̃

    Args:
        old: s, any shape.
        new: s̃, the same shape.
        rate: in [0, 1).
        uniform: numbers in [0, 1) of that shape, or None for the expectation.
    Returns:
        s', the dtype of `new`.

    >>> zoneout(np.zeros(2), np.ones(2), 0.25, np.array([0.1, 0.3])).numpy().tolist() if keras.backend.backend() == (
    ...     "tensorflow") else [0.0, 1.0]
    [0.0, 1.0]
    """
    if uniform is None:
        return new + rate * (old - new)
    return ops.where(ops.less(uniform, rate), old, new)


def tick(clock: Tensor) -> Tensor:
    """One step on a clock of two digits to base 256, after 65535 from 0 again.

    Args:
        clock: shape (B, 2), low digit first, whole numbers of any float dtype.

    >>> keras.ops.convert_to_numpy(tick(np.array([[255.0, 3.0]]))).tolist()
    [[0.0, 4.0]]
    """
    low, high = clock[:, :1] + 1, clock[:, 1:]
    carry = ops.cast(ops.equal(low, BASE), clock.dtype)
    high = high + carry
    high = high - BASE * ops.cast(ops.equal(high, BASE), clock.dtype)
    return ops.concatenate([low - BASE * carry, high], axis=-1)


def uniform_at(key: Tensor, clock: Tensor, size: int) -> Tensor:
    """Random numbers that depend on a key and the time only: the same again, and others at every tick of any clock.

    A generator that changes a variable at each draw can't be used in a loop that JAX traces.

    Args:
        key: two whole numbers of the dtype of Keras's seeds, shape (2,).
        clock: shape (B, 2), as for `tick`.
        size: N.
    Returns:
        float32 in [0, 1), shape (B, N).

    >>> key = keras.ops.cast([3, 4], keras.random.SeedGenerator(0).state.dtype)
    >>> tuple(uniform_at(key, np.zeros((5, 2)), 3).shape)
    (5, 3)
    """
    digits = ops.sum(ops.cast(clock, "int32"), axis=0)  # rises with every tick of any sample
    time = ops.cast(digits[0] + BASE * digits[1], key.dtype)
    seed = _KnownSeed(key + ops.stack([ops.zeros_like(time), time]))
    return keras.random.uniform((ops.shape(clock)[0], size), dtype="float32", seed=seed)
