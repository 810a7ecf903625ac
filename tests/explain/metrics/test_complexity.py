"""Entropy of attributions in closed form, against a loop, and against Quantus."""

import math
import warnings

import numpy as np
import pytest
from oracles.explain_metrics import entropy

from keras_arch.explain import Attribution
from keras_arch.explain.metrics import Complexity, complexity


def of(values):
    return Attribution(values, values, None, None, np.zeros(len(values)))


@pytest.mark.backend
def test_it_is_the_entropy_of_the_shares(rng):
    values = rng.normal(size=(4, 3, 5)).astype("float32")
    got = complexity(None, of(values))
    np.testing.assert_allclose(got.values, [entropy(one) for one in values], rtol=1e-6)
    assert got.range == (0.0, pytest.approx(math.log(15)))
    assert Complexity.direction == "lower"


@pytest.mark.backend
@pytest.mark.parametrize(
    ("values", "want"),
    [([0, 0, -5, 0], 0), ([2, -2, 2, 2], math.log(4)), ([0, 0, 0, 0], math.log(4)), ([1, 1, 0, 0], math.log(2))],
)
def test_closed_forms(values, want):
    got = complexity(None, of(np.array([values], "float32")))
    np.testing.assert_allclose(got.values, [want], atol=1e-7)
    assert got.values.max() <= got.range[1]


@pytest.mark.oracle
def test_it_equals_quantus(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pytest.importorskip("quantus", reason="needs quantus")
    values = rng.normal(size=(5, 1, 6, 6)).astype("float32")
    metric = peer.Complexity(abs=True, normalise=False, disable_warnings=True, display_progressbar=False)
    theirs = metric.evaluate_batch(x_batch=values, a_batch=np.abs(values).astype("float64"))
    np.testing.assert_allclose(complexity(None, of(values)).values, theirs, atol=1e-6)
