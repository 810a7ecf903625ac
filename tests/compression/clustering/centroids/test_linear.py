"""Values at equal distances."""

import numpy as np

from keras_arch.compression.clustering.centroids import Linear


def test_they_reach_from_the_smallest_to_the_largest_weight():
    got = Linear()(np.array([-1.0, 0.2, 0.3, 2.0], "float32"), 4)
    np.testing.assert_allclose(got, [-1.0, 0.0, 1.0, 2.0])
