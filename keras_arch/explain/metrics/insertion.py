"""Insertion: how fast the score rises when the best positions come first."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from keras_arch.core.registration import register
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.metrics.blur import Blur
from keras_arch.explain.metrics.measurement import Measurement
from keras_arch.explain.metrics.metric import Metric
from keras_arch.explain.metrics.removal import check_settings, removal
from keras_arch.explain.metrics.subject import Subject


@register
@dataclass(frozen=True, eq=False, repr=False)
class Insertion(Metric):
    """Area under the score while positions are put into a baseline, those of the largest attribution first.

    value = Σₖ (F(x₍ₖ₎) + F(x₍ₖ₋₁₎)) / 2 · (fractions[k] - fractions[k - 1]),   x₍ₖ₎: the baseline with the best
    fractions[k] · P positions of x.   F: the score.   P: positions.

    Higher is better: what an explanation calls important is enough for the model. Any value can occur; between 0 and 1
    if the scores are probabilities. Positions, their order and ties are as in `Deletion`.

    Args:
        steps: insertions, all of the same size up to rounding; no more than there are positions.
        baseline: where to begin, as in `Deletion`. `Blur()` blurs inputs with positions, and is zeros for features and
            token ids.
        unit: "position", or "feature" to insert channels one by one.
        normalized: whether the curve is divided by the way from the baseline's score, 0, to the input's, 1; the value
            is NaN where these are the same.
    Raises:
        ValueError: if a setting breaks its rule, or the attribution has neither the inputs' size nor their positions.
    Source: Petsiuk, Das and Saenko 2018, arXiv:1806.07421, who begin at a blurred image: a sharp black one lends
    itself to invented edges.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 3.0]])
    >>> ka.explain.metrics.Insertion().measure(model, attribution).values.tolist()
    [2.5]
    """

    direction: ClassVar[str] = "higher"
    range: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))

    steps: int = 32
    baseline: Any = field(default_factory=Blur)
    unit: str = "position"
    normalized: bool = False

    def __post_init__(self) -> None:
        check_settings(self.steps, self.unit, self.normalized)

    def compute(self, subject: Subject) -> dict[str, Any]:
        """See `Metric.compute`."""
        settings = {"steps": self.steps, "baseline": self.baseline, "unit": self.unit, "normalized": self.normalized}
        return removal(subject, **settings, insert=True)


def insertion(
    model: Any,
    attribution: Attribution,
    *,
    steps: int = 32,
    baseline: Any = Blur(),  # noqa: B008, a frozen value
    unit: str = "position",
    normalized: bool = False,
    **options: Any,
) -> Measurement:
    """Measure how fast the score rises when the best positions come first: `Insertion` at one call.

    Args:
        model: the Keras model that was explained.
        attribution: what a method returned.
        steps: see `Insertion`, as for the next three.
        baseline: where to begin.
        unit: "position" or "feature".
        normalized: whether the curve runs from 0 to 1.
        **options: target, output, batch_size and verbose of `Metric.measure`.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 3.0]])
    >>> ka.explain.metrics.insertion(model, attribution).curves.tolist()
    [[0.0, 3.0, 4.0]]
    """
    return Insertion(steps, baseline, unit, normalized).measure(model, attribution, **options)
