"""Values at equal distances."""

import dataclasses
from typing import Any

import numpy as np

from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class Linear(Value):
    """Begin with values at equal distances between the smallest and the largest weight, so that large ones are kept.

    c_k = min + k (max − min) / (K − 1),   k = 0 … K − 1

    Source: Han et al. 2016, arXiv:1510.00149, section 3.2, which finds it best.

    >>> ka.compression.clustering.centroids.Linear()(np.array([0.0, 0.1, 4.0]), 3).tolist()
    [0.0, 2.0, 4.0]
    """

    def __call__(self, values: Any, clusters: int) -> np.ndarray:
        """Centroids to begin with, shape (clusters,), of the ascending weights of one kernel."""
        return np.linspace(values[0], values[-1], clusters, dtype="float64")
