"""Integrated gradients: the gradient, averaged on the way from a baseline to the input, times the way."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.core.check import refuse
from keras_arch.core.registration import register
from keras_arch.explain import place, target
from keras_arch.explain.gradient.blur_path import BlurPath
from keras_arch.explain.gradient.paths import Path, StraightPath
from keras_arch.explain.gradient.references import References
from keras_arch.explain.method import Method, warn_if_flat
from keras_arch.explain.target import Selection
from keras_arch.ops.quadrature import RULES, quadrature

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class IntegratedGradients(Method):
    """Attributions that add up to the difference between the score at the input and at a baseline.

    values_i = (x_i - b_i) · Σₖ weights[k] · ∂F/∂x_i (b + nodes[k] · (x - b))
    x: the input.   b: the baseline.   F: the score, the scalar that the target selects.

    On another way γ from b to x it is Σₖ weights[k] · ∂F/∂x_i (γ(nodes[k])) · γ_i'(nodes[k]).

    Gauss-Legendre nodes come closest to completeness for the same number of gradients. The convergence delta, by
    which the values fail to add up, comes with every result.

    Args:
        steps: gradients per sample, >= 1 (>= 2 for "trapezoid").
        baseline: the input that stands for "nothing there": a number for all features, an array of one sample's
            shape, one of the batch's shape, or these in the inputs' structure. `References(rows)` averages over
            several baselines. With `layer`, in the shape of that layer's output.
        rule: "gauss_legendre", "riemann_left", "riemann_middle", "riemann_right" or "trapezoid".
        layer: name, path or object of a layer whose output is explained in the input's place, for models of token
            ids: its embedding layer; "encoder:1" is the second call of a shared layer, and over all calls of a layer
            the values are summed. None: the input itself, or for token ids the model's embedding layer.
        path: the way from the baseline to the input. None: straight; `BrokenPath(points)`: through given points;
            `BlurPath(sigma)`: from a blurred input to the sharp one, in place of a baseline.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, if the inputs are integers, `layer` is None, and
            the model has not one embedding layer.
    Source: Sundararajan, Taly and Yan 2017, arXiv:1703.01365, who use `riemann_right` and describe other ways in
    section 4; layer variant: Captum's LayerIntegratedGradients. tf-explain leaves out the factor (x - b).

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = IntegratedGradients(baseline=1.0).explain(model, [[1.0, 2.0, 4.0]])
    >>> attribution.values.round(4).tolist()
    [[0.0, 1.0, 3.0]]
    """

    steps: int = 32
    baseline: Any = 0.0
    rule: str = "gauss_legendre"
    layer: Any = None
    path: Path | None = None

    def __post_init__(self) -> None:
        check.one_of("rule", self.rule, RULES)
        check.integer("steps", self.steps, minimum=2 if self.rule == "trapezoid" else 1)
        if not isinstance(self.path, Path | None):
            raise refuse("path", "must be None, a BrokenPath or a BlurPath", self.path, "Pass for example BlurPath().")
        if isinstance(self.path, BlurPath) and not (isinstance(self.baseline, int | float) and self.baseline == 0):
            advice = "Leave baseline out: the path begins at the blurred input."
            raise refuse("baseline", "must not be given with a BlurPath", self.baseline, advice)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        predictions, scores = probe.predict(inputs, selections)
        selections = target.settle(selections, predictions)
        probe, layer = place.look(probe, inputs, self.layer)
        stop = probe.values(inputs) if layer else inputs
        path = self.path or StraightPath()
        several = isinstance(self.baseline, References)
        starts = self.baseline.starts(stop) if several else [path.start(self.baseline, stop)]
        rule = quadrature(self.rule, self.steps)
        values, baseline_scores = None, np.zeros_like(scores)
        for start in starts:
            found = path.integrate(probe, inputs, selections, (start, stop), rule)
            values = found if values is None else keras.tree.map_structure(np.add, values, found)
            baseline_scores += (
                probe.replaced(inputs, start, selections) if layer else probe.predict(start, selections)[1]
            ) / len(starts)
        values = keras.tree.map_structure(lambda leaf: leaf / len(starts), values) if several else values
        if any(differ(start, stop) for start in starts):  # at its own baseline a sample has no values
            warn_if_flat(values, f"layer {layer!r}" if layer else "the inputs")
        return {
            "values": place.merge_calls(values) if layer else values,
            "target": target.record(selections),
            "predictions": predictions,
            "scores": scores,
            "baseline": None if several or (layer and isinstance(starts[0], list)) else starts[0],
            "baseline_scores": baseline_scores,
            "convergence_delta": sums(values) - (scores - baseline_scores),
            "layer": layer,
        }


def sums(values: Any) -> np.ndarray:
    """(N,) sum of each sample's values over all inputs, added up in float64.

    >>> sums([np.ones((1, 2)), np.ones((1, 3))]).tolist()
    [5.0]
    """
    leaves = keras.tree.flatten(values)
    total = sum(leaf.reshape(len(leaf), -1).sum(1, dtype="float64") for leaf in leaves)
    return total.astype("float32")


def differ(one: Any, other: Any) -> bool:
    """Whether two structures of arrays, which may spread over each other, differ anywhere.

    >>> differ(np.zeros(2), np.zeros((3, 2)))
    False
    """
    return any(np.any(a != b) for a, b in zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True))
