"""Hadamard matrices: SciPy's, Sylvester's doubling, and what makes them useful."""

import numpy as np
import pytest

from keras_arch.ops.hadamard import hadamard


@pytest.mark.parametrize("size", [1, 2, 4, 32, 512])
def test_rows_of_a_power_of_two_are_orthogonal_and_doubling_makes_the_next(size):
    matrix = hadamard(size, size).astype(int)
    np.testing.assert_array_equal(matrix @ matrix.T, size * np.eye(size, dtype=int))
    np.testing.assert_array_equal(hadamard(2 * size, 2 * size), np.block([[matrix, matrix], [matrix, -matrix]]))


def test_corners_are_cut_from_larger_matrices():
    np.testing.assert_array_equal(hadamard(3, 13), hadamard(16, 16)[:3, :13])
    assert hadamard(1, 70000).shape == (1, 70000)


@pytest.mark.parametrize("size", [0, -1, 1.0, None])
def test_other_sizes_raise(size):
    with pytest.raises(ValueError, match="rows must be an integer >= 1"):
        hadamard(size, 2)
    with pytest.raises(ValueError, match="columns must be an integer >= 1"):
        hadamard(2, size)


@pytest.mark.oracle
def test_matrices_are_those_of_scipy():
    linalg = pytest.importorskip("scipy.linalg", reason="needs the extra keras-arch[oracles]")
    for size in (1, 2, 8, 64):
        np.testing.assert_array_equal(hadamard(size, size), linalg.hadamard(size))
