"""Scores of coalitions against models called on samples that are put together by hand."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.perturbation import blend

from keras_arch.explain import target
from keras_arch.explain.perturbation.game import Game
from keras_arch.explain.perturbation.segments import Patches, segment
from keras_arch.explain.perturbation.stand_in import stand_in
from keras_arch.explain.probe import Probe

pytestmark = pytest.mark.backend


@pytest.fixture
def model():
    layers = [keras.layers.Flatten(), keras.layers.Dense(5, "tanh"), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((4, 6, 2)), *layers])


def game(model, x, goal, labels, background=None):
    probe = Probe(model, batch_size=4)
    selections = target.select(goal, probe.survey(x).outputs, len(x))
    return Game(probe, x, selections, segment(labels, x), stand_in(0.0, background, x))


def test_values_are_scores_of_blended_samples(model, rng):
    x = rng.normal(size=(3, 4, 6, 2)).astype("float32")
    labels = Patches((2, 3))(x[0])
    coalitions = rng.random((5, 4)) < 0.5
    got = game(model, x, [0, 1, 2], labels).values(coalitions)
    for row in range(3):
        for column, coalition in enumerate(coalitions):
            kept = set(np.flatnonzero(coalition))
            seen = blend(x[row], labels[..., None], kept, np.zeros((4, 6, 2), "float32"))
            want = ops.convert_to_numpy(model(seen[None]))[0, row]
            assert got[row, column] == pytest.approx(want, rel=1e-5, abs=1e-6)


def test_a_background_is_averaged_over(model, rng):
    x, rows = rng.normal(size=(2, 4, 6, 2)).astype("float32"), rng.normal(size=(3, 4, 6, 2)).astype("float32")
    labels = Patches((2, 3))(x[0])
    coalitions = np.array([[True, False, True, False], [False] * 4])
    got = game(model, x, 1, labels, rows).values(coalitions)
    for sample in range(2):
        for column, coalition in enumerate(coalitions):
            kept = set(np.flatnonzero(coalition))
            seen = np.stack([blend(x[sample], labels[..., None], kept, row) for row in rows])
            want = ops.convert_to_numpy(model(seen))[:, 1].mean()
            assert got[sample, column] == pytest.approx(want, rel=1e-5, abs=1e-6)


def test_samples_of_equally_many_features_play_together_for_their_own_targets(model, rng):
    x = rng.normal(size=(4, 4, 6, 2)).astype("float32")
    labels = rng.integers(0, 2, (4, 4, 6))
    labels[2] = np.arange(24).reshape(4, 6) // 8
    labels[[0, 1, 3], 0, 0], labels[[0, 1, 3], 0, 1] = 0, 1
    whole = game(model, x, [0, 1, 2, 0], labels)
    groups = list(whole.by_count())
    assert [(rows.tolist(), players) for rows, _, players in groups] == [([0, 1, 3], 2), ([2], 3)]
    for rows, part, players in groups:
        got = part.values(np.zeros((1, players), bool) | (np.arange(players) == 0))
        for row, value in zip(rows, got[:, 0], strict=True):
            own = game(model, x[row : row + 1], int([0, 1, 2, 0][row]), labels[row])
            want = own.values(np.zeros((1, players), bool) | (np.arange(players) == 0))[0, 0]
            assert value == pytest.approx(want, rel=1e-5, abs=1e-6)
