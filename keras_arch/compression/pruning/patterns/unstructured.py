"""Every weight for itself."""

import dataclasses

import numpy as np

from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class Unstructured(Value):
    """Every weight is pruned or kept by itself: the highest accuracy, smaller compressed files, no faster inference.

    A pattern answers two questions: which units are ranked (`units`), and which weights a pruned unit takes along
    (`weights`). Here both are the weights themselves.

    >>> pattern = ka.compression.pruning.patterns.Unstructured()
    >>> pattern.units(np.array([[1.0, 2.0]])).tolist(), pattern.weights(np.array([[True, False]]), (1, 2)).tolist()
    ([[1.0, 2.0]], [[True, False]])
    """

    def units(self, scores: np.ndarray) -> np.ndarray:
        """Scores of the units, from the scores of one weight."""
        return scores

    def weights(self, units: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Mark the weights of the marked units, in the shape of the weight."""
        return units.reshape(shape)
