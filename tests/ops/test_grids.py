import numpy as np
import pytest
from keras import ops

from keras_arch.ops.grids import check_grid, grid_positions

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("prefix", [0, 2])
def test_rows_and_columns_are_numpys(prefix):
    found = grid_positions(np.arange(prefix + 12), (3, 4), prefix)
    row, column, is_prefix = (ops.convert_to_numpy(one) for one in found)
    wanted = np.unravel_index(np.arange(12), (3, 4))
    np.testing.assert_array_equal(row, [0] * prefix + wanted[0].tolist())
    np.testing.assert_array_equal(column, [0] * prefix + wanted[1].tolist())
    assert is_prefix.tolist() == [True] * prefix + [False] * 12


@pytest.mark.parametrize("size", [3, (3,), (3, 0), (2.0, 2), "ab", (1, 2, 3)])
def test_bad_grids_say_what_to_do(size):
    with pytest.raises(ValueError, match=r"grid_size.* must be (a pair \(rows, columns\)|an integer >= 1)"):
        check_grid("grid_size", size)
