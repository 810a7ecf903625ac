"""Every weight for itself."""

import numpy as np

from keras_arch.compression.pruning.patterns import Unstructured


def test_units_are_the_weights(rng):
    scores = rng.normal(size=(3, 4))
    assert Unstructured().units(scores) is scores
    np.testing.assert_array_equal(Unstructured().weights(scores > 0, (3, 4)), scores > 0)
