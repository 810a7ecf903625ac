"""Measures as values."""

import keras
import numpy as np
import pytest

from keras_arch.core.identifiers import identifiers
from keras_arch.explain import Attribution, metrics
from keras_arch.explain.metrics import (
    Blur,
    Complexity,
    Deletion,
    Infidelity,
    Insertion,
    MaxSensitivity,
    Metric,
    PointingGame,
    Randomization,
    Sparseness,
    SquareRemoval,
)

pytestmark = pytest.mark.backend

VALUES = [
    Deletion(),
    Deletion(steps=3, baseline=0.5, unit="feature", normalized=True),
    Deletion(baseline=np.arange(6.0).reshape(2, 3)),
    Insertion(),
    Insertion(baseline=Blur(3, 1.0)),
    Infidelity(),
    Infidelity(SquareRemoval(2), draws=3, normalized=True, shares=False, seed=1),
    MaxSensitivity(radius=0.5),
    Sparseness(),
    Complexity(),
    PointingGame(regions=np.ones((1, 4), bool), tolerance=0),
    Randomization(),
    Randomization(similarity="ssim", layers=("a", "b")),
]


@pytest.mark.parametrize("metric", VALUES, ids=repr)
def test_a_metric_survives_serialisation_printing_and_comparison(metric):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again == metric
    assert hash(again) == hash(metric)
    assert repr(again) == repr(metric)
    assert [other for other in VALUES if other == metric] == [metric]
    assert keras.saving.serialize_keras_object(metric)["registered_name"] == f"keras_arch>{type(metric).__name__}"


def test_a_metric_is_frozen_and_prints_what_differs_from_the_default():
    with pytest.raises(AttributeError):
        Deletion().steps = 3
    assert repr(VALUES[1]) == "Deletion(steps=3, baseline=0.5, unit='feature', normalized=True)"
    assert repr(VALUES[2]) == "Deletion(baseline=array(2, 3))"
    assert repr(VALUES[4]) == "Insertion(baseline=Blur(size=3, sigma=1.0))"


def test_string_ids_name_classes():
    ids = identifiers(metrics)
    assert ids["max_sensitivity"] is MaxSensitivity
    assert ids["deletion"] is Deletion


def test_a_metric_without_compute_says_so():
    class Bare(Metric):
        direction, range = "lower", (0.0, 1.0)

    attribution = Attribution(np.ones((1, 2)), np.ones((1, 2)), None, None, np.zeros(1))
    with pytest.raises(NotImplementedError, match="must define compute"):
        Bare().measure(None, attribution)
