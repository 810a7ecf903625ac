"""Sums, products, concatenations and flattening."""

import keras
import numpy as np
import pytest

from keras_arch.compression.graph import Tensor
from keras_arch.compression.pruning.shrinking.channels import Channels, Units, UntraceableError
from keras_arch.compression.pruning.shrinking.joining import concatenated, flattened, merged, merging

pytestmark = pytest.mark.backend
L = keras.layers
NAN = np.nan


def tensor(*shape):
    return Tensor("x", 0, 0, (None, *shape))


@pytest.fixture
def units():
    return Units()


@pytest.mark.parametrize(
    ("layer", "unknown_with_zero"),
    [
        (L.Add(), NAN),
        (L.Average(), NAN),
        (L.Maximum(), NAN),
        (L.Minimum(), NAN),
        (L.Subtract(), NAN),
        (L.Multiply(), 0.0),
    ],
)
def test_merges_join_channels_and_know_what_constants_become(layer, unknown_with_zero, units):
    left = Channels(units.new(3), np.array([2.0, 0.0, NAN]))
    right = Channels(units.new(3), np.array([-3.0, NAN, NAN]))
    got = merged(layer, [left, right], [tensor(3), tensor(3)], merging(layer), units)
    both = layer([np.array([[2.0]]), np.array([[-3.0]])])
    np.testing.assert_array_equal(got.values, [float(both[0, 0]), unknown_with_zero, NAN])
    np.testing.assert_array_equal(units.roots(left.units), units.roots(right.units))
    np.testing.assert_array_equal(units.roots(got.units), units.roots(left.units))


@pytest.mark.parametrize("merge", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, keras.ops.maximum])
def test_bare_operations_of_two_tensors_merge_as_layers_do(merge):
    left, right = keras.Input((2,)), keras.Input((2,))
    (operation,) = [
        each for each in keras.Model([left, right], merge(left, right)).operations if not isinstance(each, keras.Layer)
    ]
    got = merging(operation)([np.array([2.0]), np.array([-3.0])])
    assert got[0] == float(merge(np.float32(2), np.float32(-3)))


def test_other_operations_do_not_merge():
    inputs = keras.Input((2,))
    (operation,) = [
        each for each in keras.Model(inputs, inputs[:, ::-1]).operations if not isinstance(each, keras.Layer)
    ]
    assert merging(operation) is None
    assert merging(L.Dot(1)) is None


def test_one_channel_that_is_spread_over_many_is_fixed(units):
    wide, narrow = Channels(units.new(3), np.full(3, NAN)), Channels(units.new(1), np.array([0.0]))
    layer = L.Multiply(name="gate")
    got = merged(layer, [narrow, wide], [tensor(1), tensor(3)], merging(layer), units)
    assert units.reason(narrow.units[0]) == "gate spreads it over all channels"
    assert not units.fixed(wide.units).any()
    np.testing.assert_array_equal(got.units, wide.units)
    np.testing.assert_array_equal(got.values, np.zeros(3))


def test_merges_of_a_number_or_of_other_ranks_are_not_traced(units):
    channels = Channels(units.new(2), np.full(2, NAN))
    with pytest.raises(UntraceableError, match="a number or one tensor"):
        merged(L.Add(), [channels], [tensor(2)], merging(L.Add()), units)
    with pytest.raises(UntraceableError, match="different ranks"):
        merged(L.Add(), [channels, channels], [tensor(2), tensor(5, 2)], merging(L.Add()), units)


def test_channels_are_concatenated_side_by_side(units):
    left, right = Channels(units.new(2), np.array([1.0, NAN])), Channels(units.new(1), np.array([0.0]))
    got = concatenated(L.Concatenate(), [left, right], [tensor(4, 2), tensor(4, 1)], units)
    np.testing.assert_array_equal(got.units, [*left.units, *right.units])
    np.testing.assert_array_equal(got.values, [1.0, NAN, 0.0])


def test_concatenation_along_another_axis_joins(units):
    left, right = Channels(units.new(2), np.array([1.0, 2.0])), Channels(units.new(2), np.array([1.0, 3.0]))
    got = concatenated(L.Concatenate(axis=1), [left, right], [tensor(4, 2), tensor(5, 2)], units)
    np.testing.assert_array_equal(units.roots(left.units), units.roots(right.units))
    np.testing.assert_array_equal(got.values, [1.0, NAN])


def test_flattened_channels_repeat_as_features_do(rng):
    x = rng.standard_normal((1, 2, 3, 4))
    numbered = np.broadcast_to(np.arange(4.0), x.shape)
    got = flattened(L.Flatten(), Channels(np.arange(4), np.array([0.0, 1.0, NAN, NAN])), tensor(2, 3, 4))
    np.testing.assert_array_equal(got.units, keras.ops.convert_to_numpy(L.Flatten()(numbered))[0])
    assert np.isnan(got.values).sum() == 12


def test_unknown_sizes_and_channels_first_are_not_flattened():
    channels = Channels(np.arange(2), np.zeros(2))
    with pytest.raises(UntraceableError, match="unknown size"):
        flattened(L.Flatten(), channels, tensor(None, 2))
    with pytest.raises(UntraceableError, match="come first"):
        flattened(L.Flatten(data_format="channels_first"), channels, tensor(3, 2))
