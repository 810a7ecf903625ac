"""Deletion: how fast the score falls when the best positions go first."""

from dataclasses import dataclass
from typing import Any, ClassVar

from keras_arch.core.registration import register
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.metrics.measurement import Measurement
from keras_arch.explain.metrics.metric import Metric
from keras_arch.explain.metrics.removal import check_settings, removal
from keras_arch.explain.metrics.subject import Subject


@register
@dataclass(frozen=True, eq=False, repr=False)
class Deletion(Metric):
    """Area under the score while positions are replaced by a baseline, those of the largest attribution first.

    value = Σₖ (F(x₍ₖ₎) + F(x₍ₖ₋₁₎)) / 2 · (fractions[k] - fractions[k - 1]),   x₍ₖ₎: x without its best
    fractions[k] · P positions.   F: the score.   P: positions.

    Lower is better: what an explanation calls important is what the model needs. Any value can occur; between 0 and 1
    if the scores are probabilities. A position is a pixel, a step in time, a token or, without positions, a feature;
    attributions of its channels are summed. Several inputs share one order. Equal attributions go in the order in which
    they lie in memory, so a constant map is removed row by row.

    Args:
        steps: removals, all of the same size up to rounding; no more than there are positions.
        baseline: what replaces a position: a number, an array of one sample's shape or the batch's, these in the
            inputs' structure, or a `Blur`; for token ids a whole number, the id of "no token".
        unit: "position", or "feature" to remove channels one by one.
        normalized: whether the curve is divided by the way from the baseline's score, 0, to the input's, 1; the value
            is NaN where these are the same.
    Raises:
        ValueError: if a setting breaks its rule, or the attribution has neither the inputs' size nor their positions.
    Source: Petsiuk, Das and Saenko 2018, arXiv:1806.07421. They remove 224 pixels a step of 224 × 224.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 3.0]])
    >>> ka.explain.metrics.Deletion().measure(model, attribution).values.tolist()
    [1.5]
    """

    direction: ClassVar[str] = "lower"
    range: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))

    steps: int = 32
    baseline: Any = 0.0
    unit: str = "position"
    normalized: bool = False

    def __post_init__(self) -> None:
        check_settings(self.steps, self.unit, self.normalized)

    def compute(self, subject: Subject) -> dict[str, Any]:
        """See `Metric.compute`."""
        settings = {"steps": self.steps, "baseline": self.baseline, "unit": self.unit, "normalized": self.normalized}
        return removal(subject, **settings, insert=False)


def deletion(
    model: Any,
    attribution: Attribution,
    *,
    steps: int = 32,
    baseline: Any = 0.0,
    unit: str = "position",
    normalized: bool = False,
    **options: Any,
) -> Measurement:
    """Measure how fast the score falls when the best positions go first: `Deletion` at one call.

    Args:
        model: the Keras model that was explained.
        attribution: what a method returned.
        steps: see `Deletion`, as for the next three.
        baseline: what replaces a position.
        unit: "position" or "feature".
        normalized: whether the curve runs from 1 to 0.
        **options: target, output, batch_size and verbose of `Metric.measure`.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 3.0]])
    >>> ka.explain.metrics.deletion(model, attribution).curves.tolist()
    [[4.0, 1.0, 0.0]]
    """
    return Deletion(steps, baseline, unit, normalized).measure(model, attribution, **options)
