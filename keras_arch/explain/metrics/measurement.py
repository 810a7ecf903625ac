"""What a measure of quality returns: one number a sample, and the curve behind it where there is one."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_arch.core import optional
from keras_arch.core.identifiers import snake_case

DIRECTIONS = {"higher": "higher is better", "lower": "lower is better"}
ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True, eq=False, repr=False)
class Measurement:
    """The quality of explanations as one measure sees it.

    Args:
        metric: the measure.
        values: (N,) float32, one number a sample; NaN where the measure says nothing.
        direction: "higher" or "lower", which values are better.
        range: smallest and largest value that the measure can give here.
        curves: (N, K + 1) float32, what the values summarise, else None.   K: steps.
        fractions: (K + 1,) from 0 to 1, how far each step of the curves goes, else None.
        stages: names of the K + 1 steps, else None.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 3.0], [2.0, 2.0]])
    >>> measurement = ka.explain.metrics.sparseness(model, attribution)
    >>> measurement
    Measurement(Sparseness(), 2 samples, 0.125 ± 0.12, higher is better)
    >>> measurement.values.round(2).tolist()
    [0.25, 0.0]
    """

    metric: Any
    values: np.ndarray
    direction: str
    range: tuple[float, float]
    curves: np.ndarray | None = None
    fractions: np.ndarray | None = None
    stages: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The measure's string id."""
        return snake_case(type(self.metric).__name__)

    @property
    def mean(self) -> float:
        """Mean over the samples for which there is a value; NaN if there is none."""
        known = self._known()
        return float(known.mean()) if len(known) else float("nan")

    @property
    def std(self) -> float:
        """Standard deviation over the same samples, divided by their number."""
        known = self._known()
        return float(known.std()) if len(known) else float("nan")

    def _known(self) -> np.ndarray:
        return self.values[~np.isnan(self.values)].astype("float64")

    def __len__(self) -> int:
        return len(self.values)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain Python values that JSON can hold; what is not finite becomes None."""
        return {
            "metric": self.name,
            "settings": repr(self.metric),
            "direction": self.direction,
            "range": [_plain(end) for end in self.range],
            "mean": _plain(self.mean),
            "std": _plain(self.std),
            "values": [_plain(value) for value in self.values],
            "curves": None if self.curves is None else [[_plain(value) for value in row] for row in self.curves],
            "fractions": None if self.fractions is None else self.fractions.tolist(),
            "stages": None if self.stages is None else list(self.stages),
        }

    def plot(self, **options: Any) -> Any:
        """Draw the curves, or the values; takes the options of `keras_arch.plots.measurement`, returns its Axes."""
        return optional.room("plots").measurement(self, **options)

    def __repr__(self) -> str:
        figure = f"{self.mean:.3g} ± {self.std:.2g}"
        return f"Measurement({self.metric!r}, {len(self)} samples, {figure}, {DIRECTIONS[self.direction]})"


def _plain(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
