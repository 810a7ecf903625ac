"""Ways from a baseline to an input, along which gradients are integrated."""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.core.check import refuse
from keras_arch.core.registration import register
from keras_arch.explain import baseline as baselines
from keras_arch.explain.setting import Setting
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


class Path(Setting):
    """Base of the ways.

    values = Σₖ weights[k] · ∇F(γ(nodes[k])) ⊙ γ'(nodes[k]),   γ(0): the start, γ(1): the input.
    """

    def start(self, baseline: Any, stop: Any) -> Any:
        """Where the way begins, in the structure and shapes of `stop`."""
        return baselines.resolve(baseline, stop)

    def integrate(
        self,
        probe: "Probe",
        inputs: Any,
        selections: tuple[Selection, ...],
        ends: tuple[Any, Any],
        rule: tuple[np.ndarray, np.ndarray],
    ) -> Any:
        """The values, in the structure of the point.

        Args:
            probe: the model, seen from the inputs or a layer.
            inputs: what it is called with.
            selections: the settled target.
            ends: start and stop.
            rule: nodes and weights.
        """
        raise NotImplementedError(f"{type(self).__module__}.{type(self).__qualname__} must define integrate().")


@register
@dataclass(frozen=True, eq=False, repr=False)
class StraightPath(Path):
    """The straight way: γ(t) = b + t (x - b). As a rule of `Probe.accumulate` its batched values are (start, stop).

    x: the input.   b: the baseline.   t: 0 to 1. A step is (node, weight).

    >>> StraightPath().at((np.zeros(2), np.ones(2)), (0.25, 1.0)).tolist()
    [0.25, 0.25]
    """

    def at(self, batched: tuple, step: tuple) -> Any:
        """start + node · (stop - start)."""
        return keras.tree.map_structure(lambda start, stop: start + step[0] * (stop - start), *batched)

    def add(self, total: Any, gradient: Any, batched: tuple, step: tuple) -> Any:
        """The total plus the weighted gradient."""
        return keras.tree.map_structure(lambda sums, part: sums + step[1] * part, total, gradient)

    def integrate(
        self,
        probe: "Probe",
        inputs: Any,
        selections: tuple[Selection, ...],
        ends: tuple[Any, Any],
        rule: tuple[np.ndarray, np.ndarray],
    ) -> Any:
        """See `Path.integrate`."""
        start, stop = ends
        zeros = keras.tree.map_structure(np.zeros_like, stop)
        steps = list(zip(*rule, strict=True))
        total = probe.accumulate(self, inputs, selections, ends, zeros, steps)
        return keras.tree.map_structure(lambda end, begin, mean: (end - begin) * mean, stop, start, total)


@register
@dataclass(frozen=True, eq=False, repr=False)
class BrokenPath(Path):
    """A way through given points, straight from each to the next: b, p₁, …, pₙ, x.

    Args:
        points: p, in order: each a number for all features, an array of one sample's shape, one of the batch's shape,
            or these in the inputs' structure, as a baseline is. The nodes and weights of the rule are used on each of
            the n + 1 straight pieces, so the gradients per sample are n + 1 times the steps.
    Raises:
        ValueError: if there is no point, or, in `explain`, if one does not fit the inputs.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda t: keras.ops.prod(t, -1))])
    >>> path = BrokenPath([np.array([1.0, 0.0])])              # first along one axis, then along the other
    >>> ka.explain.IntegratedGradients(path=path).explain(model, [[1.0, 3.0]]).values.round(4).tolist()
    [[0.0, 3.0]]
    """

    points: Any

    def __post_init__(self) -> None:
        if not isinstance(self.points, list | tuple) or not self.points:
            raise refuse("points", "must be a list of one point or more", self.points, "Pass for example [0.5].")

    def integrate(
        self,
        probe: "Probe",
        inputs: Any,
        selections: tuple[Selection, ...],
        ends: tuple[Any, Any],
        rule: tuple[np.ndarray, np.ndarray],
    ) -> Any:
        """See `Path.integrate`."""
        start, stop = ends
        corners = [start, *(baselines.resolve(point, stop) for point in self.points), stop]
        values = None
        for piece in itertools.pairwise(corners):
            found = StraightPath().integrate(probe, inputs, selections, piece, rule)
            values = found if values is None else keras.tree.map_structure(np.add, values, found)
        return values
