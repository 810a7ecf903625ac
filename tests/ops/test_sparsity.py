"""Masks written into weights, against sorting and counting by hand."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import pruning as oracle

from keras_arch.ops.sparsity import kept, masked, settled, smallest_masks, zeros

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("count", [0, 1, 5, 11, 12])
def test_exactly_the_smallest_are_marked_ties_in_order(rng, count):
    scores = rng.integers(0, 4, size=(3, 4)).astype("float32")
    (mask,) = smallest_masks([scores], count)
    np.testing.assert_array_equal(mask, oracle.smallest(scores, count))


def test_the_order_of_ties_does_not_depend_on_the_layout_in_memory():
    scores = np.asfortranarray(np.ones((3, 4), "float32"))
    np.testing.assert_array_equal(smallest_masks([scores], 5)[0], oracle.smallest(scores, 5))


@pytest.mark.parametrize("count", [0, 3, 10, 18])
def test_several_arrays_are_ranked_as_one(rng, count):
    scores = [rng.integers(0, 4, size=shape).astype("float32") for shape in ((3, 4), (6,))]
    got = np.concatenate([mask.reshape(-1) for mask in smallest_masks(scores, count)])
    np.testing.assert_array_equal(got, oracle.smallest(np.concatenate([s.reshape(-1) for s in scores]), count))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_mask_can_be_read_back_though_kept_weights_are_zero(rng, dtype):
    weight = rng.normal(size=(5, 4)).astype("float32")
    weight[::2] = 0.0
    keep = rng.integers(0, 2, size=(5, 4)).astype(bool)
    stored = masked(ops.cast(weight, dtype), keep)
    assert keras.backend.standardize_dtype(stored.dtype) == dtype
    np.testing.assert_array_equal(ops.convert_to_numpy(kept(stored)), keep)
    given_back = ops.convert_to_numpy(ops.cast(settled(stored), "float32"))
    np.testing.assert_array_equal(given_back, ops.convert_to_numpy(ops.cast(ops.cast(weight * keep, dtype), "float32")))
    difference = np.abs(ops.convert_to_numpy(ops.cast(stored, "float32")) - given_back).max()
    assert difference <= (6e-8 if dtype == "float16" else 1e-30)


def test_weights_are_not_moved_by_a_million_writings():
    weights = np.array([1.0, -3e-9, 1e-20, 0.0], "float32")
    once = ops.convert_to_numpy(masked(weights, weights == weights))
    np.testing.assert_array_equal(once[:3], weights[:3])
    assert 0 < 1_000_000 * once[3] < 1e-24
    np.testing.assert_array_equal(ops.convert_to_numpy(settled(1_000_000 * once[3:])), 0)


def test_pruned_weights_are_zeros_of_positive_sign_whatever_they_were():
    stored = masked(np.array([-2.0, np.nan, -np.inf], "float32"), np.array([False] * 3))
    assert ops.convert_to_numpy(stored).tobytes() == bytes(12)  # or compressed files grow


def test_zeros_are_counted(rng):
    weight = rng.integers(0, 3, size=(7, 3)).astype("float32")
    assert zeros(weight) == zeros(keras.Variable(weight)) == oracle.zeros(weight)
