"""Slopes of attention with linear biases."""

import numpy as np

from keras_arch.core import check


def alibi_slopes(num_heads: int) -> np.ndarray:
    """How much each head's score falls per step of distance.

    slope[n] = 2 ** (-8 (n + 1) / N) for N a power of two. Otherwise the slopes of the next lower power of two M, then
    every second slope of 2 M heads, the steepest first, until there are N.   n: head, N: heads.

    Args:
        num_heads: N, >= 1.
    Returns:
        float64 NumPy array, shape (N,), within (0, 1).
    Raises:
        ValueError: if `num_heads` is not an integer >= 1.
    Source: Press et al. 2021, arXiv:2108.12409, section 3, and the authors' program.

    >>> alibi_slopes(3).tolist()
    [0.0625, 0.00390625, 0.25]
    """
    num_heads = check.integer("num_heads", num_heads)
    power = 1 << (num_heads.bit_length() - 1)

    def geometric(heads: int) -> np.ndarray:
        return 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)

    return np.concatenate([geometric(power), geometric(2 * power)[::2][: num_heads - power]])
