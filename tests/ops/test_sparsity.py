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
    assert difference <= (6e-8 if dtype == "float16" else 1.2e-38)


def test_numbers_below_the_smallest_normal_stay_kept():
    stored = masked(np.array([1e-42, -1e-42, 0.0], "float32"), np.array([True, True, True]))
    assert (ops.convert_to_numpy(ops.abs(stored)) >= np.finfo("float32").tiny).all()


def test_zeros_are_counted(rng):
    weight = rng.integers(0, 3, size=(7, 3)).astype("float32")
    assert zeros(weight) == zeros(keras.Variable(weight)) == oracle.zeros(weight)
