"""The score as a function of the features that are there."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.explain.perturbation.segments import Segmentation
from keras_arch.explain.perturbation.stand_in import StandIn, keep_features
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@dataclass(frozen=True, eq=False)
class Game:
    """v(S): the score of a sample that keeps the features in S, averaged over what stands in for the others.

    Attributes:
        probe: the model, seen from its inputs.
        inputs: N samples.
        selections: what is scored, settled.
        segmentation: which feature each position belongs to.
        away: what stands in.
    """

    probe: "Probe"
    inputs: Any
    selections: tuple[Selection, ...]
    segmentation: Segmentation
    away: StandIn

    def by_count(self) -> Iterator[tuple[np.ndarray, "Game", int]]:
        """The samples in groups of equally many features: their numbers, their game, and M."""
        for players in np.unique(self.segmentation.counts):
            rows = np.flatnonzero(self.segmentation.counts == players)
            yield rows, self if len(rows) == len(self.segmentation.counts) else self._pick(rows), int(players)

    def values(self, coalitions: np.ndarray) -> np.ndarray:
        """v of coalitions, which are the same for all samples.

        Args:
            coalitions: bool (S, M), for samples of M features.
        Returns:
            float64 array (N, S).
        """
        each = self.away.count

        def arguments(samples: np.ndarray, versions: np.ndarray) -> tuple:
            coalition, version = np.divmod(versions, each)
            return coalitions[coalition], self.segmentation.of(samples), self.away.of(samples, version)

        found = self.probe.variants(self.inputs, self.selections, keep_features, len(coalitions) * each, arguments)
        return found.reshape(len(found), len(coalitions), each).mean(-1, dtype="float64")

    def _pick(self, rows: np.ndarray) -> "Game":
        selections = tuple(
            dataclasses.replace(part, value=part.value[rows]) if part.kind in ("index", "weights") else part
            for part in self.selections
        )
        inputs = keras.tree.map_structure(lambda leaf: leaf[rows], self.inputs)
        return Game(self.probe, inputs, selections, self.segmentation.pick(rows), self.away.pick(rows))
