"""Values with equally many weights between them."""

import dataclasses
from typing import Any

import numpy as np

from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class Density(Value):
    """Begin with values that have equally many weights between them: dense where the weights are.

    c_k = the weight at the share (k + 1/2) / K of all in ascending order,   k = 0 … K − 1

    The paper leaves the offset of the shares, here 1/2, open.

    Source: Han et al. 2016, arXiv:1510.00149, section 3.2.

    >>> ka.compression.clustering.centroids.Density()(np.array([0.0, 1.0, 2.0, 9.0]), 2).tolist()
    [1.0, 9.0]
    """

    def __call__(self, values: Any, clusters: int) -> np.ndarray:
        """Centroids to begin with, shape (clusters,), of the ascending weights of one kernel."""
        places = (2 * np.arange(clusters) + 1) * len(values) // (2 * clusters)
        return np.asarray(values, "float64")[places]
