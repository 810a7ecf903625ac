"""Weights that are drawn far from each other."""

import dataclasses
from typing import Any

import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.core.value import Value
from keras_arch.ops.clustering import SortedValues, plus_plus


@register
@dataclasses.dataclass(frozen=True)
class KMeansPlusPlus(Value):
    """Begin with weights of the kernel, each drawn in proportion to its squared distance from those drawn before.

    Its string ids are "kmeans++" and "k_means_plus_plus". See `ops.clustering.plus_plus` for the formula.

    Args:
        seed: int >= 0; the same seed and weights give the same centroids.
    Raises:
        ValueError: if the seed is not such a number.
    Source: Arthur & Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding", SODA.

    >>> ka.compression.clustering.centroids.KMeansPlusPlus()(np.array([0.0, 0.0, 5.0]), 2).tolist()
    [0.0, 5.0]
    """

    seed: int = 0

    def __post_init__(self) -> None:
        check.integer("seed", self.seed, minimum=0)

    def __call__(self, values: Any, clusters: int) -> np.ndarray:
        """Centroids to begin with, shape (clusters,) or fewer, of the weights of one kernel."""
        return plus_plus(SortedValues(values), clusters, np.random.default_rng(self.seed))
