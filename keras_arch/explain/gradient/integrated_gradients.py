"""Integrated gradients: the gradient, averaged on the way from a baseline to the input, times the way."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.core import check, walk
from keras_arch.core.registration import register
from keras_arch.explain import baseline as baselines
from keras_arch.explain import target
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

    Gauss-Legendre nodes come closest to completeness for the same number of gradients. The convergence delta, by
    which the values fail to add up, comes with every result.

    Args:
        steps: gradients per sample, >= 1 (>= 2 for "trapezoid").
        baseline: the input that stands for "nothing there": a number for all features, an array of one sample's
            shape, one of the batch's shape, or these in the inputs' structure. With `layer`, in the shape of that
            layer's output.
        rule: "gauss_legendre", "riemann_left", "riemann_middle", "riemann_right" or "trapezoid".
        layer: name, path or object of a layer whose output is explained in the input's place, for models of token
            ids: its embedding layer. None: the input itself.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, if the inputs are integers and `layer` is None.
    Source: Sundararajan, Taly and Yan 2017, arXiv:1703.01365, who use `riemann_right`; layer variant: Captum's
    LayerIntegratedGradients.

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = IntegratedGradients(baseline=1.0).explain(model, [[1.0, 2.0, 4.0]])
    >>> attribution.values.round(4).tolist()
    [[0.0, 1.0, 3.0]]
    """

    steps: int = 32
    baseline: Any = 0.0
    rule: str = "gauss_legendre"
    layer: Any = None

    def __post_init__(self) -> None:
        check.one_of("rule", self.rule, RULES)
        check.integer("steps", self.steps, minimum=2 if self.rule == "trapezoid" else 1)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        predictions, scores = probe.predict(inputs, selections)
        selections = target.settle(selections, predictions)
        path = None
        if self.layer is None:
            _refuse_integers(inputs)
            start, stop = baselines.resolve(self.baseline, inputs), inputs
            baseline_scores = probe.predict(start, selections)[1]
        else:
            layer, path = walk.locate(probe.model, self.layer)
            probe = probe.at(layer)
            stop = probe.values(inputs)
            start = baselines.resolve(self.baseline, stop)
            baseline_scores = probe.replaced(inputs, start, selections)
        total = probe.path_integral(inputs, start, stop, *quadrature(self.rule, self.steps), selections)
        warn_if_flat(total, f"layer {path!r}" if path else "the inputs")
        values = keras.tree.map_structure(lambda end, begin, mean: (end - begin) * mean, stop, start, total)
        return {
            "values": values,
            "target": target.record(selections),
            "predictions": predictions,
            "scores": scores,
            "baseline": start,
            "baseline_scores": baseline_scores,
            "convergence_delta": _sums(values) - (scores - baseline_scores),
            "layer": path,
        }


def _sums(values: Any) -> np.ndarray:
    leaves = keras.tree.flatten(values)
    total = sum(leaf.reshape(len(leaf), -1).sum(1, dtype="float64") for leaf in leaves)
    return total.astype("float32")


def _refuse_integers(inputs: Any) -> None:
    for leaf in keras.tree.flatten(inputs):
        if leaf.dtype.kind != "f":
            raise ValueError(
                f"x must be floats to be followed from a baseline; received dtype {leaf.dtype}. For token ids pass "
                "layer= with the name of the embedding layer; for images pass x.astype('float32')."
            )
