"""Blocks, one by one."""

import numpy as np
import pytest

from keras_arch.compression.pruning.patterns import Block


@pytest.mark.parametrize("shape", [(6, 8), (3, 2, 4, 8)])
@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (2, 2), (3, 8)])
def test_a_block_is_a_rectangle_of_inputs_and_outputs(rng, shape, rows, columns):
    scores, pattern = rng.random(shape), Block(rows, columns)
    matrix = scores.reshape(-1, shape[-1])
    units = pattern.units(scores)
    assert units.shape == (matrix.shape[0] // rows, matrix.shape[1] // columns)
    marked = rng.random(units.shape) < 0.5
    weights = pattern.weights(marked, shape)
    assert weights.shape == shape
    for i in range(units.shape[0]):
        for j in range(units.shape[1]):
            block = np.s_[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
            np.testing.assert_allclose(units[i, j], matrix[block].mean())
            assert (weights.reshape(matrix.shape)[block] == marked[i, j]).all()


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ((1, 4), (4, 6), r"columns must divide the 6 outputs of a weight of shape \(4, 6\); received columns=4"),
        ((4, 1), (3, 3, 1, 4), "rows must divide the 9 inputs"),
    ],
)
def test_what_does_not_divide_is_refused(settings, shape, message):
    with pytest.raises(ValueError, match=message):
        Block(*settings).units(np.ones(shape))


@pytest.mark.parametrize("settings", [(0, 4), (1, 0), (1, 2.0)])
def test_sizes_are_checked(settings):
    with pytest.raises(ValueError, match="must be an integer >= 1"):
        Block(*settings)
