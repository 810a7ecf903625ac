"""Results as values: figures, plain data, pictures."""

import dataclasses
import json

import numpy as np
import pytest

from keras_arch.explain.metrics import Deletion, Measurement, PointingGame, Sparseness

pytestmark = pytest.mark.backend

CURVE = Measurement(
    Deletion(steps=2),
    np.array([0.5, 1.5], "float32"),
    "lower",
    (-float("inf"), float("inf")),
    curves=np.array([[1, 0.5, 0], [2, 1.5, 1]], "float32"),
    fractions=np.array([0, 0.5, 1], "float32"),
)


def test_figures_are_over_the_samples_that_have_a_value():
    game = Measurement(
        PointingGame(regions=[[], (0, 1), (0, 1)]), np.array([np.nan, 1, 0], "float32"), "higher", (0, 1)
    )
    assert (game.mean, game.std, len(game)) == (0.5, 0.5, 3)
    none = Measurement(Sparseness(), np.array([np.nan], "float32"), "higher", (0, 1))
    assert np.isnan([none.mean, none.std]).all()


def test_it_prints_what_matters():
    assert repr(CURVE) == "Measurement(Deletion(steps=2), 2 samples, 1 ± 0.5, lower is better)"
    assert CURVE.name == "deletion"


def test_plain_data_survive_json():
    plain = json.loads(json.dumps(CURVE.to_dict(), allow_nan=False))
    assert plain == {
        "metric": "deletion",
        "settings": "Deletion(steps=2)",
        "direction": "lower",
        "range": [None, None],
        "mean": 1.0,
        "std": 0.5,
        "values": [0.5, 1.5],
        "curves": [[1, 0.5, 0], [2, 1.5, 1]],
        "fractions": [0, 0.5, 1],
        "stages": None,
    }


def test_it_is_frozen_and_draws_itself():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CURVE.values = None
    assert CURVE.plot(title="mine").get_title() == "mine"
