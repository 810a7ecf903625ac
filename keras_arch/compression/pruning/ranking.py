"""From scores to masks, for patterns that look at one weight at a time."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from keras_arch.compression.scope import Target, smallest


class SeparateWeights:
    """Ranks the units that a pattern sees in each weight by itself.

    What ranks for a `Pruner` has these attributes and methods; `ChannelGroups` ranks several weights as one.

    Args:
        pattern: has the methods `units` and `weights` of `patterns.Unstructured`.
        targets: what is pruned.

    Attributes:
        targets: the weights whose scores count.
        variables: the weights that are masked, those of `targets` first.

    >>> from keras_arch.compression.pruning.patterns import Unstructured
    >>> from keras_arch.compression.pruning.ranking import SeparateWeights
    >>> from keras_arch.compression.scope import Target
    >>> ranking = SeparateWeights(Unstructured(), (Target("only", keras.Variable([1.0, 2.0])),))
    >>> ranking.marks([np.array([1.0, 2.0])], 0.5, "layer")[0].tolist()
    [True, False]
    """

    def __init__(self, pattern: Any, targets: tuple[Target, ...]) -> None:
        self.pattern = pattern
        self.targets = targets
        self.variables = [target.variable for target in targets]

    def check(self, scores: Iterable[np.ndarray], own: Mapping[int, float] | None = None) -> None:
        """Raise ValueError if the pattern does not fit a weight.

        Args:
            scores: one array for each target, of its shape.
            own: as `marks` takes them; here any will do.
        """
        for _ in self._units(scores):
            pass

    def marks(
        self, scores: Iterable[np.ndarray], sparsity: float, scope: str, own: Mapping[int, float] | None = None
    ) -> list[np.ndarray]:
        """Mark what goes.

        Args:
            scores: one array for each target, of its shape.
            sparsity: fraction of units, in [0, 1).
            scope: "layer" or "global".
            own: index of a target to a fraction of its own.
        Returns:
            A bool array for each of `variables`, of its shape.
        """
        units = smallest(self._units(scores), sparsity, scope, own)
        shapes = [tuple(variable.shape) for variable in self.variables]
        return [self.pattern.weights(unit, shape) for unit, shape in zip(units, shapes, strict=True)]

    def _units(self, scores: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for target, score in zip(self.targets, scores, strict=True):
            try:
                yield self.pattern.units(score)
            except ValueError as error:
                raise ValueError(f"pattern does not fit {target.path}/{target.variable.name}: {error}") from error
