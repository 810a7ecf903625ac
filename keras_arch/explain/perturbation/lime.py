"""LIME: a linear model of the score near one sample, over features that are there or away."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain import target
from keras_arch.explain.method import Method
from keras_arch.explain.perturbation.game import Game
from keras_arch.explain.perturbation.layout import check_data_format
from keras_arch.explain.perturbation.segments import segment
from keras_arch.explain.perturbation.stand_in import stand_in
from keras_arch.explain.target import Selection
from keras_arch.ops.surrogate import DISTANCES, proximity, weighted_r2, weighted_ridge

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class LIME(Method):
    """Coefficients of a weighted ridge regression of the score on which features are there.

    minimise Σ_k exp(-d(z_k)² / 2 width²) (F(x_k) - b - z_k · c)² + ridge · |c|²
    z_k: a random coalition of features, each in it with probability 1/2; the first one holds all.   x_k: the sample
    with the features outside z_k set to the baseline.   F: the score, the scalar that the target selects.   d: the
    distance of z_k from the whole coalition.   c: the coefficients, b: the intercept.

    Each position of the values carries the coefficient of its feature. The result's `details` hold, one row a sample:
    "features", c (N, M), NaN beyond the features of a sample; "segments", the feature of each position; "intercept",
    b; "local_prediction", b + Σ c; "fidelity", the weighted R² of the regression: where it is low, the coefficients
    describe the score badly.

    Args:
        samples: coalitions, >= 2; the same ones for all samples of equally many features.
        segments: what a feature is. None: superpixels of float inputs with channels, else each position: a token, a
            column. Or `Superpixels(count)`, `Patches(size)`, `Positions()`, `Elements()`, an int array of labels, or a
            function from one sample to its labels: see `keras_arch.explain.perturbation.segments.segment`.
        baseline: what a feature that is away is set to: a number, an array of one sample's shape, one of the batch's
            shape, or these in the inputs' structure; for token ids an id.
        kernel_width: > 0; None: 0.25 for "cosine", 0.75 · √M for "euclidean".
        distance: "cosine", 1 - √(s / M), or "euclidean", √(M - s), for s of M features.
        ridge: penalty of the squared coefficients, >= 0.
        seed: of the coalitions.
        data_format: "channels_last", "channels_first", or None for `keras.config.image_data_format()`.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, does not fit the inputs.
    Source: Ribeiro, Singh and Guestrin 2016, arXiv:1602.04938; kernel, widths, ridge and coalitions of images as in the
    authors' package lime. All features are kept in the fit; the package's texts draw the number of words first.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = LIME(samples=64, ridge=0.0).explain(model, [[1.0, 3.0]])
    >>> attribution.values.round(3).tolist(), attribution.details["fidelity"].round(3).tolist()
    ([[1.0, 3.0]], [1.0])
    """

    samples: int = 1000
    segments: Any = None
    baseline: Any = 0.0
    kernel_width: float | None = None
    distance: str = "cosine"
    ridge: float = 1.0
    seed: int = 0
    data_format: str | None = None

    def __post_init__(self) -> None:
        check.integer("samples", self.samples, minimum=2)
        check.one_of("distance", self.distance, DISTANCES)
        if self.kernel_width is not None:
            width = {"minimum": 0, "maximum": math.inf, "open_minimum": True, "open_maximum": True}
            check.real("kernel_width", self.kernel_width, **width)
        check.strength("ridge", self.ridge)
        check.integer("seed", self.seed, minimum=0)
        check_data_format(self.data_format)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        segmentation = segment(self.segments, inputs, self.data_format)
        away = stand_in(self.baseline, None, inputs)
        predictions, scores = probe.predict(inputs, selections)
        selections = target.settle(selections, predictions)
        features = np.full((len(scores), segmentation.counts.max()), np.nan)
        intercept, fidelity = np.zeros(len(scores)), np.zeros(len(scores))
        for rows, game, players in Game(probe, inputs, selections, segmentation, away).by_count():
            coalitions = self.coalitions(players)
            outcomes = np.concatenate([scores[rows, None], game.values(coalitions[1:])], axis=1)
            weights = proximity(coalitions, self.distance, self.width(players))
            for row, own in zip(rows, outcomes, strict=True):
                fit = weighted_ridge(coalitions, own, weights, self.ridge)
                features[row, :players], intercept[row] = fit
                fidelity[row] = weighted_r2(coalitions, own, weights, *fit)
        details = {
            "features": features,
            "intercept": intercept,
            "local_prediction": intercept + np.nansum(features, axis=1),
            "fidelity": fidelity,
        }
        return {
            "values": segmentation.spread(features, inputs),
            "target": target.record(selections),
            "predictions": predictions,
            "scores": scores,
            "details": {
                **{name: part.astype("float32") for name, part in details.items()},
                "segments": segmentation.maps(inputs),
            },
        }

    def coalitions(self, players: int) -> np.ndarray:
        """The coalitions of M features that are tried: bool (samples, M), the whole one first."""
        drawn = np.random.default_rng(self.seed).random((self.samples, players)) < 0.5
        drawn[0] = True
        return drawn

    def width(self, players: int) -> float:
        """The kernel's width for M features."""
        default = 0.25 if self.distance == "cosine" else 0.75 * math.sqrt(players)
        return default if self.kernel_width is None else self.kernel_width
