"""Shapley values of the features of one sample, from every coalition or from random orders."""

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
from keras_arch.ops import coalitions

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe

LARGEST = 16


@register
@dataclass(frozen=True, eq=False, repr=False)
class ShapleyValues(Method):
    """What each feature brings to the score, averaged over all orders in which features can come.

    φ_i = Σ over S without i of |S|! (M - |S| - 1)! / M! · (v(S ∪ {i}) - v(S)),   Σ φ_i = F(x) - v(none)
    v(S): the score of the sample with the features outside S set to the baseline, or averaged over a background.
    M: features.   F: the score, the scalar that the target selects.

    It is the one way to share the score that adds up (efficiency), treats equals equally (symmetry), gives nothing to
    features that do nothing (dummy), and adds over scores that are summed (linearity). All 2^M coalitions are scored,
    or `permutations` · (M - 1) of them.

    Each position of the values carries the value of its whole feature, so values add up over features, not over
    positions; the result's `details` hold "features", φ (N, M), NaN beyond the features of a sample, and "segments",
    the feature of each position. The baseline score of the result is v(none).

    Args:
        segments: what a feature is. None: superpixels of float inputs with channels, else each position: a token, a
            column. Or `Superpixels(count)`, `Patches(size)`, `Positions()`, `Elements()`, an int array of labels, or a
            function from one sample to its labels: see `keras_arch.explain.perturbation.segments.segment`.
        baseline: what a feature that is away is set to: a number, an array of one sample's shape, one of the batch's
            shape, or these in the inputs' structure; for token ids an id.
        background: None, or R samples in the inputs' structure: features that are away take their values from each of
            them, and v is the mean; R times the work.
        permutations: None, every coalition; or the number of random orders, >= 1, whose mean is taken. Efficiency
            holds all the same.
        seed: of the orders.
        data_format: "channels_last", "channels_first", or None for `keras.config.image_data_format()`.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, does not fit the inputs, or there are more than 16
            features and no `permutations`.
    Source: Shapley 1953, doi:10.1515/9781400881970-018; orders: Castro, Gómez and Tejada 2009,
    doi:10.1016/j.cor.2008.04.004, every second one the one before it backwards.

    >>> inputs = keras.Input((3,))
    >>> model = keras.Model(inputs, keras.ops.prod(inputs, axis=-1, keepdims=True))
    >>> ShapleyValues().explain(model, [[1.0, 2.0, 3.0]]).values.round(4).tolist()
    [[2.0, 2.0, 2.0]]
    """

    segments: Any = None
    baseline: Any = 0.0
    background: Any = None
    permutations: int | None = None
    seed: int = 0
    data_format: str | None = None

    def __post_init__(self) -> None:
        if self.permutations is not None:
            check.integer("permutations", self.permutations)
        check.integer("seed", self.seed, minimum=0)
        check_data_format(self.data_format)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        segmentation = segment(self.segments, inputs, self.data_format)
        largest = int(segmentation.counts.max())
        if self.permutations is None and largest > LARGEST:
            raise ValueError(
                f"segments must make at most {LARGEST} features where all coalitions are scored; received {largest}, "
                f"2^{largest} coalitions a sample. Pass fewer, for example segments=Superpixels(12), or "
                "permutations=50, or use KernelSHAP."
            )
        away = stand_in(self.baseline, self.background, inputs)
        predictions, scores = probe.predict(inputs, selections)
        selections = target.settle(selections, predictions)
        features, empty = np.full((len(scores), largest), np.nan), np.zeros(len(scores))
        for rows, game, players in Game(probe, inputs, selections, segmentation, away).by_count():
            share = self._all if self.permutations is None else self._sampled
            features[rows, :players], empty[rows] = share(game, scores[rows, None], players)
        return {
            "target": target.record(selections),
            "predictions": predictions,
            "scores": scores,
            **fields(features, empty, scores, segmentation, inputs),
        }

    def _all(self, game: Game, scores: np.ndarray, players: int) -> tuple[np.ndarray, np.ndarray]:
        values = np.concatenate([game.values(coalitions.all_coalitions(players)[:-1]), scores], axis=1)
        return coalitions.shapley_values(values), values[:, 0]

    def _sampled(self, game: Game, scores: np.ndarray, players: int) -> tuple[np.ndarray, np.ndarray]:
        orders = coalitions.orders(players, self.permutations, self.seed)  # (K, M)
        rank = np.argsort(orders, axis=1)[:, None]  # when each feature comes
        present = rank < np.arange(1, players)[:, None]  # (K, M - 1, M): who is there after 1 … M - 1 have come
        none = np.zeros((1, players), bool)
        found = game.values(np.concatenate([none, present.reshape(-1, players)]))
        empty, middle = found[:, :1], found[:, 1:].reshape(len(found), len(orders), players - 1)
        shape = (len(found), len(orders), 1)
        steps = [np.broadcast_to(empty[..., None], shape), middle, np.broadcast_to(scores[..., None], shape)]
        added = np.diff(np.concatenate(steps, axis=2), axis=2)  # (N, K, M), in the order in which features come
        own = np.take_along_axis(added, np.broadcast_to(rank.transpose(1, 0, 2), added.shape), axis=2)
        return own.mean(1), empty[:, 0]
