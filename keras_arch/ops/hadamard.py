"""Hadamard matrices of powers of two."""

import numpy as np

from keras_arch.core import check


def hadamard(rows: int, columns: int) -> np.ndarray:
    """Upper left corner of the Hadamard matrices in Sylvester's order, each of which begins with the one before.

    H[i, j] = (-1)^(ones in the binary digits of i AND j).

    With rows = columns = 2^m that is the Hadamard matrix of 2^m rows: H = Hᵀ, H H = 2^m I.

    Args:
        rows: number of rows, >= 1.
        columns: number of columns, >= 1.
    Returns:
        int8 array of 1 and -1, shape (rows, columns).
    Raises:
        ValueError: if a number is below 1 or no integer.
    Source: Sylvester 1867, doi:10.1080/14786446708639914.

    >>> hadamard(2, 4).tolist()
    [[1, 1, 1, 1], [1, -1, 1, -1]]
    """
    digits = np.arange(check.integer("rows", rows))[:, None] & np.arange(check.integer("columns", columns))
    for shift in (32, 16, 8, 4, 2, 1):  # folds the digits into the last one, by their parity
        digits ^= digits >> shift
    return (1 - 2 * (digits & 1)).astype("int8")
