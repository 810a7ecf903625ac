"""Which map belongs to which input."""

import numpy as np
import pytest

from keras_arch.explain.metrics.positions import channel_axis, fit, fitted, is_tokens

pytestmark = pytest.mark.backend


def floats(*shape):
    return np.arange(np.prod(shape), dtype="float32").reshape(shape)


@pytest.mark.parametrize(
    ("value", "leaf", "want"),
    [
        ((2, 5), (2, 5), (2, 5)),
        ((2, 5, 3), (2, 5, 3), (2, 5, 1)),
        ((2, 5, 1), (2, 5, 3), (2, 5, 1)),
        ((2, 5), (2, 5, 3), (2, 5, 1)),
        ((2, 4, 5, 3), (2, 4, 5, 3), (2, 4, 5, 1)),
        ((2, 4, 5), (2, 4, 5, 3), (2, 4, 5, 1)),
        ((2, 3, 4, 5, 2), (2, 3, 4, 5, 2), (2, 3, 4, 5, 1)),
        ((2, 4, 4, 1), (2, 8, 8, 1), None),
        ((2, 6), (2, 5), None),
        ((3, 5), (2, 5), None),
    ],
)
def test_maps_of_floats(value, leaf, want):
    found = fit([floats(*value)], [floats(*leaf)], "position")
    assert (found and found[0].shape) == want
    if want and value == leaf and len(leaf) > 2:
        np.testing.assert_allclose(found[0], floats(*value).sum(-1, keepdims=True))


def test_maps_of_tokens():
    ids = np.zeros((2, 5), "int32")
    np.testing.assert_array_equal(fit([floats(2, 5, 3)], [ids], "position")[0], floats(2, 5, 3).sum(-1))
    np.testing.assert_array_equal(fit([floats(2, 5)], [ids], "position")[0], floats(2, 5))
    assert fit([floats(2, 3)], [ids], "position") is None


def test_whole_numbers_in_four_axes_are_pictures():
    assert not is_tokens(np.zeros((1, 2, 2, 3), "uint8"))
    assert fit([floats(1, 2, 2, 3)], [np.zeros((1, 2, 2, 3), "uint8")], "position")[0].shape == (1, 2, 2, 1)


def test_features_are_not_summed():
    np.testing.assert_array_equal(fit([floats(2, 5, 3)], [floats(2, 5, 3)], "feature")[0], floats(2, 5, 3))


def test_one_map_among_several_inputs_belongs_to_the_first_it_fits():
    inputs = [floats(2, 3), floats(2, 4, 4, 3), floats(2, 4, 4, 1)]
    found = fit([floats(2, 4, 4, 1)], inputs, "position")
    assert [part is None for part in found] == [True, False, True]
    assert fit([floats(2, 3), floats(2, 4, 4, 1), floats(2, 4, 4, 1)], inputs, "position")[2] is not None
    assert fit([floats(2, 3), floats(2, 4, 4, 1)], inputs, "position") is None


def test_channels_lie_where_keras_has_them():
    assert [channel_axis(rank) for rank in (2, 3, 4, 5)] == [None, 2, 3, 4]


def test_what_fits_nothing_is_refused():
    with pytest.raises(ValueError, match=r"attribution must have values of the inputs' shapes \[\(2, 8, 8, 1\)\]"):
        fitted([floats(2, 4, 4, 1)], [floats(2, 8, 8, 1)], "position")
