"""Groups of a weight and their norms."""

import keras
import numpy as np
import pytest

from keras_arch.ops.groups import check_groups, group_axes, group_norms, group_size

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("rank", [1, 2, 4, 5])
def test_filter_is_the_last_axis_of_any_rank(rank):
    assert group_axes("filter", rank) == (rank - 1,)


@pytest.mark.parametrize("rank", [2, 4, 5])
def test_input_is_the_axis_before_the_last(rank):
    assert group_axes("input", rank) == (rank - 2,)


def test_axes_count_from_either_end():
    assert group_axes(-1, 3) == group_axes(2, 3) == (2,)
    assert group_axes((-1, 0), 3) == group_axes((0, 2), 3) == (0, 2)


@pytest.mark.parametrize(("groups", "rank"), [("input", 1), (2, 2), (-3, 2), ((0, -2), 2)])
def test_axes_that_a_weight_does_not_have_raise(groups, rank):
    with pytest.raises(ValueError, match="must name different axes of the weight, which has rank"):
        group_axes(groups, rank)


@pytest.mark.parametrize("groups", ["filters", 1.5, True, (), (0, 0), ("filter",), None])
def test_groups_that_are_none_raise(groups):
    with pytest.raises(ValueError, match="groups must"):
        check_groups(groups)


def test_sizes_of_groups_times_their_number_is_the_size_of_the_weight():
    for axes in [(0,), (3,), (0, 3), (0, 1, 2, 3)]:
        number = np.prod([(3, 5, 2, 4)[axis] for axis in axes])
        assert group_size((3, 5, 2, 4), axes) * number == 3 * 5 * 2 * 4


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_norms_equal_numpy(rng, axes):
    x = rng.normal(size=(3, 4, 5)).astype("float32")
    others = tuple(axis for axis in range(3) if axis not in axes)
    expected = np.sqrt((x.astype("float64") ** 2).sum(axis=others)) if others else np.abs(x)
    got = keras.ops.convert_to_numpy(group_norms(keras.ops.convert_to_tensor(x), axes))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_norms_of_large_float16_values_are_finite():
    x = keras.ops.full((4, 2), 60000.0, dtype="float16")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(group_norms(x, (1,))), 2 * 60000.0, rtol=1e-3)
