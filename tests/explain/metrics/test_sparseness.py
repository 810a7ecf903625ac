"""The Gini index in closed form, against all pairs, and against Quantus."""

import warnings

import numpy as np
import pytest
from oracles.explain_metrics import gini

from keras_arch.explain import Attribution
from keras_arch.explain.metrics import Sparseness, sparseness


def of(values):
    return Attribution(values, np.zeros((len(np.asarray(values)), 1)), None, None, np.zeros(len(np.asarray(values))))


@pytest.mark.backend
def test_it_is_half_the_relative_mean_difference_of_all_pairs(rng):
    values = rng.normal(size=(4, 3, 5)).astype("float32")
    got = sparseness(None, of(values))
    np.testing.assert_allclose(got.values, [gini(one) for one in values], rtol=1e-6)
    assert got.range == (0.0, pytest.approx(14 / 15))


@pytest.mark.backend
@pytest.mark.parametrize(
    ("values", "want"), [([0, 0, 0, -7], 0.75), ([3, 3, -3, 3], 0), ([0, 0, 0, 0], 0), ([0, 1, 0, 1], 0.5)]
)
def test_closed_forms(values, want):
    got = sparseness(None, of(np.array([values], "float32"))).values
    np.testing.assert_allclose(got, [want], atol=1e-7)
    assert Sparseness.direction == "higher"


@pytest.mark.backend
def test_several_inputs_are_one_list_of_numbers(rng):
    parts = [rng.normal(size=(2, 3)).astype("float32"), rng.normal(size=(2, 2, 2)).astype("float32")]
    joined = np.concatenate([part.reshape(2, -1) for part in parts], axis=1)
    got = sparseness(None, Attribution(parts, parts, None, None, np.zeros(2))).values
    np.testing.assert_array_equal(got, sparseness(None, of(joined)).values)


@pytest.mark.oracle
def test_it_equals_quantus(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pytest.importorskip("quantus", reason="needs quantus")
    values = rng.normal(size=(5, 1, 6, 6)).astype("float32")
    metric = peer.Sparseness(abs=True, normalise=False, disable_warnings=True, display_progressbar=False)
    theirs = metric.evaluate_batch(x_batch=values, a_batch=np.abs(values).astype("float64"))
    np.testing.assert_allclose(sparseness(None, of(values)).values, theirs, atol=1e-6)
