import numpy as np
import pytest
from oracles.relative_position import alibi_slope

from keras_arch.ops.alibi import alibi_slopes


@pytest.mark.parametrize("heads", [1, 2, 3, 8, 12, 16, 20])
def test_slopes_are_the_geometric_sequences_of_the_paper(heads):
    np.testing.assert_allclose(alibi_slopes(heads), [alibi_slope(n, heads) for n in range(heads)], rtol=1e-15)


def test_eight_heads_halve_from_head_to_head():
    assert alibi_slopes(8).tolist() == [2.0**-n for n in range(1, 9)]


def test_twelve_heads_are_those_of_eight_and_every_second_of_sixteen():
    np.testing.assert_array_equal(alibi_slopes(12), np.concatenate([alibi_slopes(8), alibi_slopes(16)[:8:2]]))


def test_bad_numbers_of_heads_say_what_to_do():
    with pytest.raises(ValueError, match="num_heads must be an integer >= 1"):
        alibi_slopes(0)
