"""Weights that are drawn far from each other."""

import numpy as np
import pytest

from keras_arch.compression.clustering.centroids import KMeansPlusPlus


def test_each_far_heap_gets_one(rng):
    heaps = np.array([-50.0, 0.0, 7.0, 100.0])
    weights = np.sort((heaps[:, None] + rng.normal(size=(4, 200))).reshape(-1))
    np.testing.assert_allclose(KMeansPlusPlus(seed=1)(weights, 4), heaps, atol=4)


def test_the_seed_decides(rng):
    weights = np.sort(rng.normal(size=300))
    one, again, other = (KMeansPlusPlus(seed)(weights, 8) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_seed_that_is_none_is_refused():
    with pytest.raises(ValueError, match="seed must be an integer >= 0; received seed=-1"):
        KMeansPlusPlus(seed=-1)
