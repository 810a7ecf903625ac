"""Connections of a reservoir, and scaling by eigenvalues."""

import numpy as np
import pytest

from keras_arch.ops.reservoir import connections, with_spectral_radius


@pytest.mark.parametrize(("connectivity", "count"), [(0.01, 1), (0.26, 3), (1.0, 10)])
def test_each_unit_hears_as_many(rng, connectivity, count):
    heard = connections(10, connectivity, rng)
    np.testing.assert_array_equal(heard.sum(axis=0), np.full(10, count))


def test_sources_are_chosen_evenly(rng):
    total = sum(connections(5, 0.4, rng).astype(int) for _ in range(2000))
    np.testing.assert_allclose(total / 2000, np.full((5, 5), 0.4), atol=0.05)


def test_the_radius_is_that_of_complex_eigenvalues_too():
    turn = np.array([[0.0, -3.0], [3.0, 0.0]])  # eigenvalues 3i, -3i
    np.testing.assert_allclose(with_spectral_radius(turn, 0.5), turn / 6)
    np.testing.assert_array_equal(with_spectral_radius(turn, 0.0), np.zeros((2, 2)))


@pytest.mark.parametrize("matrix", [np.zeros((2, 2)), np.triu(np.ones((3, 3)), 1)])
def test_a_matrix_without_cycles_is_refused(matrix):
    with pytest.raises(ValueError, match="matrix must have an eigenvalue other than 0"):
        with_spectral_radius(matrix, 0.9)
