"""Kernel SHAP: Shapley values from a weighted linear regression on coalitions of features."""

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
from keras_arch.explain.shapley.fields import fields
from keras_arch.explain.target import Selection
from keras_arch.ops.coalitions import kernel_coalitions
from keras_arch.ops.surrogate import shapley_regression

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class KernelSHAP(Method):
    """Shapley values of many features, from the linear model that fits the scores of coalitions best.

    minimise Σ_S π(|S|) (v(S) - v(none) - Σ_{i in S} φ_i)²  where  Σ φ_i = F(x) - v(none),
    π(s) = (M - 1) / (C(M, s) s (M - s))
    v(S): the score of the sample with the features outside S set to the baseline, or averaged over a background.
    M: features.   F: the score, the scalar that the target selects.

    With 2^M <= samples every coalition is scored and φ are the Shapley values. Otherwise the smallest and largest
    coalitions, which count most, are listed whole as far as the samples reach, and the rest is drawn; each coalition
    comes with its complement. The values add up to the change of the score in any case.

    Each position of the values carries the value of its whole feature, so values add up over features, not over
    positions; the result's `details` hold "features", φ (N, M), NaN beyond the features of a sample, and "segments",
    the feature of each position. The baseline score of the result is v(none).

    Args:
        samples: coalitions scored, the empty and the whole one included, >= 4.
        segments: what a feature is. None: superpixels of float inputs with channels, else each position: a token, a
            column. Or `Superpixels(count)`, `Patches(size)`, `Positions()`, `Elements()`, an int array of labels, or a
            function from one sample to its labels: see `keras_arch.explain.perturbation.segments.segment`.
        baseline: what a feature that is away is set to: a number, an array of one sample's shape, one of the batch's
            shape, or these in the inputs' structure; for token ids an id.
        background: None, or R samples in the inputs' structure: features that are away take their values from each of
            them, and v is the mean; R times the work.
        seed: of the coalitions that are drawn; the same ones for all samples of equally many features.
        data_format: "channels_last", "channels_first", or None for `keras.config.image_data_format()`.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, does not fit the inputs.
    Source: Lundberg and Lee 2017, arXiv:1705.07874; complements and the exact sum: Covert and Lee 2021,
    arXiv:2012.01536. No feature selection by L1, unlike the authors' package shap.

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> method = KernelSHAP(background=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> method.explain(model, [[1.0, 2.0, 3.0]]).values.round(4).tolist()
    [[0.5, 1.5, 3.0]]
    """

    samples: int = 2048
    segments: Any = None
    baseline: Any = 0.0
    background: Any = None
    seed: int = 0
    data_format: str | None = None

    def __post_init__(self) -> None:
        check.integer("samples", self.samples, minimum=4)
        check.integer("seed", self.seed, minimum=0)
        check_data_format(self.data_format)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        segmentation = segment(self.segments, inputs, self.data_format)
        away = stand_in(self.baseline, self.background, inputs)
        predictions, scores = probe.predict(inputs, selections)
        selections = target.settle(selections, predictions)
        features = np.full((len(scores), segmentation.counts.max()), np.nan)
        empty = np.zeros(len(scores))
        for rows, game, players in Game(probe, inputs, selections, segmentation, away).by_count():
            chosen, weights = kernel_coalitions(players, self.samples, self.seed)
            found = game.values(np.concatenate([np.zeros((1, players), bool), chosen]))
            empty[rows] = found[:, 0]
            features[rows, :players] = shapley_regression(chosen, found[:, 1:], weights, found[:, 0], scores[rows])
        return {
            "target": target.record(selections),
            "predictions": predictions,
            "scores": scores,
            **fields(features, empty, scores, segmentation, inputs),
        }
