"""Values with equally many weights between them."""

import numpy as np
import pytest

from keras_arch.compression.clustering.centroids import Density


@pytest.mark.parametrize("clusters", [2, 5, 16])
def test_equally_many_weights_lie_between_them(clusters, rng):
    weights = np.sort(rng.exponential(size=160 * clusters))
    between = np.searchsorted(weights, Density()(weights, clusters))
    np.testing.assert_array_equal(np.diff(between), 160)
    assert (between[0], between[-1]) == (80, 160 * clusters - 80)
