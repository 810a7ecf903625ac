"""At most N weights in each group of M."""

import dataclasses

import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class NM(Value):
    """Of every M neighbouring inputs to an output at most N are left in the end: 2 of 4 is what tensor cores skip.

    A kernel is taken as a matrix (inputs, outputs): the last axis counts outputs, all others together the inputs, in
    their order. In each group of M inputs the N highest scores stay; the others go, the smallest of all groups first,
    as far as the schedule has come. At the sparsity 1 − N / M every group has N weights left, and more can't be asked.

    Args:
        n: N, weights left in a group, >= 1 and below m.
        m: M, inputs of a group, >= 2; a divisor of the size of the next to last axis, the input features, of every
            weight that is pruned.
    Raises:
        ValueError: if a number is out of range; when it meets a weight, if m does not divide.
    Source: Mishra et al. 2021, arXiv:2104.08378.

    >>> pattern = ka.compression.pruning.patterns.NM(1, 2)
    >>> pattern.units(np.array([[1.0], [3.0], [7.0], [5.0]])).ravel().tolist()
    [1.0, inf, inf, 5.0]
    >>> pattern.max_sparsity
    0.5
    """

    n: int = 2
    m: int = 4

    def __post_init__(self) -> None:
        check.integer("m", self.m, minimum=2)
        check.integer("n", self.n, maximum=self.m - 1)

    @property
    def max_sparsity(self) -> float:
        """1 − N / M."""
        return 1 - self.n / self.m

    def units(self, scores: np.ndarray) -> np.ndarray:
        """The scores of one weight, infinite for the N highest of each group."""
        if scores.ndim < 2 or scores.shape[-2] % self.m:
            rule = f"must divide the input features, the next to last axis, of a weight of shape {tuple(scores.shape)}"
            raise check.refuse("m", rule, self.m, "Choose a divisor, or leave the weight out by targets.")
        groups = scores.reshape(-1, self.m, scores.shape[-1])
        order = np.argsort(groups, axis=1, kind="stable")
        units = groups.copy()
        np.put_along_axis(units, order[:, self.m - self.n :], np.inf, axis=1)
        return units.reshape(scores.shape)

    def weights(self, units: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Mark the weights of the marked units, in the shape of the weight."""
        return units.reshape(shape)
