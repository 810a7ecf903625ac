"""Units are joined, fixed and found again."""

import numpy as np
import pytest

from keras_arch.compression.pruning.shrinking.channels import Channels, Units, varying

pytestmark = pytest.mark.backend


def test_joined_units_have_one_root_whatever_the_order(rng):
    units = Units()
    every = units.new(40)
    pairs = rng.integers(0, 40, (30, 2))
    reached = np.eye(40, dtype=bool)
    for one, other in pairs:
        units.join([one], [other])
        both = reached[one] | reached[other]
        reached[both] = both
    roots = units.roots(every)
    np.testing.assert_array_equal(roots[:, None] == roots[None, :], reached)
    assert len(units) == 40


@pytest.mark.parametrize("fix_first", [True, False])
def test_a_fixed_unit_fixes_all_it_is_joined_to(fix_first):
    units = Units()
    left, right = units.new(3), units.new(3)
    if fix_first:
        units.fix(right[2:], "because")
    units.join(left, right)
    if not fix_first:
        units.fix(right[2:], "because")
    units.fix(left[2:], "later")
    assert units.fixed(left).tolist() == [False, False, True]
    assert (units.reason(left[2]), units.reason(left[0])) == ("because", None)


def test_channels_know_which_of_them_are_constant():
    assert Channels(np.arange(4), np.array([0.0, np.nan, -2.5, np.inf])).constant.tolist() == [True, False, True, False]
    assert not varying(np.arange(2)).constant.any()
