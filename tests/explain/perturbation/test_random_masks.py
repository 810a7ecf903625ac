"""Masks against interpolation written out, and their mean."""

import numpy as np
import pytest
from keras import ops
from oracles.perturbation import grown_mask

from keras_arch.explain.perturbation.random_masks import grow, random_masks

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("size", [(17,), (10, 13), (5, 6, 7), (3, 3)])
def test_smooth_masks_equal_interpolation_of_each_position(size, rng):
    masks = random_masks(size, 6, 4, 0.5, True, rng)
    parts = masks.parts(np.array([4, 1]))
    got = grow(np, *parts)
    for row, mask in enumerate((4, 1)):
        want = grown_mask(masks.cells[mask].astype(float), tuple(masks.shifts[mask]), size)
        np.testing.assert_allclose(got[row], want, atol=1e-6)
    on_device = grow(ops, *map(ops.convert_to_tensor, parts))
    np.testing.assert_allclose(ops.convert_to_numpy(on_device), got, atol=1e-6)


@pytest.mark.parametrize(("size", "grid", "smooth"), [((9, 6), 3, True), ((9, 6), 3, False), ((5,), 5, False)])
@pytest.mark.parametrize("keep", [0.2, 0.5])
def test_every_position_is_kept_with_the_probability(size, grid, smooth, keep, rng):
    masks = random_masks(size, 20000, grid, keep, smooth, rng)
    grown = grow(np, *masks.parts(np.arange(20000)))
    np.testing.assert_allclose(grown.mean(0), keep, atol=5 * np.sqrt(keep * (1 - keep) / 20000))
    if not smooth:
        assert set(np.unique(grown)) == {0.0, 1.0}


def test_shifts_move_the_cut_by_up_to_a_cell(rng):
    masks = random_masks((14, 21), 500, 7, 0.5, True, rng)
    assert masks.shifts.min(0).tolist() == [0, 0]
    assert masks.shifts.max(0).tolist() == [1, 2]


def test_blocks_of_one_position_are_independent(rng):
    masks = random_masks((6,), 20000, 6, 0.5, False, rng)
    grown = grow(np, *masks.parts(np.arange(20000)))
    np.testing.assert_array_equal(grown, masks.cells)
    correlation = np.corrcoef(grown.T)
    np.testing.assert_allclose(correlation, np.eye(6), atol=0.04)
