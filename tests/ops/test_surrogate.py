"""Linear surrogates against normal equations, scikit-learn and exact Shapley values."""

import numpy as np
import pytest
from oracles.shapley import kernel_weight, shapley
from oracles.surrogate import fidelity, ridge

from keras_arch.ops.coalitions import all_coalitions
from keras_arch.ops.surrogate import proximity, shapley_regression, weighted_r2, weighted_ridge

pytestmark = pytest.mark.backend


@pytest.fixture
def data(rng):
    design = rng.integers(0, 2, (40, 5)).astype("float64")
    outcomes = design @ rng.normal(size=5) + 3 + 0.1 * rng.normal(size=40)
    return design, outcomes, rng.uniform(0.1, 2, 40)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 30.0])
def test_ridge_equals_the_normal_equations(data, penalty):
    design, outcomes, weights = data
    coefficients, intercept = weighted_ridge(design, outcomes, weights, penalty)
    want, start = ridge(design, outcomes, weights, penalty)
    np.testing.assert_allclose(coefficients, want, rtol=1e-10, atol=1e-12)
    assert intercept == pytest.approx(start, rel=1e-10)
    predicted = design @ want + start
    got = weighted_r2(design, outcomes, weights, coefficients, intercept)
    assert got == pytest.approx(fidelity(predicted, outcomes, weights), rel=1e-10)


def test_ridge_equals_scikit_learn(data):
    linear_model = pytest.importorskip("sklearn.linear_model", reason="needs the extra keras-arch[demo]")
    design, outcomes, weights = data
    model = linear_model.Ridge(alpha=1.0).fit(design, outcomes, sample_weight=weights)
    coefficients, intercept = weighted_ridge(design, outcomes, weights, 1.0)
    np.testing.assert_allclose(coefficients, model.coef_, rtol=1e-9)
    assert intercept == pytest.approx(model.intercept_, rel=1e-9)
    r2 = weighted_r2(design, outcomes, weights, coefficients, intercept)
    assert r2 == pytest.approx(model.score(design, outcomes, weights), rel=1e-9)


def test_a_weight_counts_like_that_many_copies(data):
    design, outcomes, _ = data
    times = np.arange(40) % 3
    got = weighted_ridge(design, outcomes, times, 0.5)
    copies = weighted_ridge(np.repeat(design, times, 0), np.repeat(outcomes, times), np.ones(times.sum()), 0.5)
    np.testing.assert_allclose(got[0], copies[0], rtol=1e-10)
    assert got[1] == pytest.approx(copies[1])


def test_columns_that_never_vary_get_nothing_without_a_penalty(data):
    design, outcomes, weights = data
    design[:, 2] = 1.0
    coefficients, _ = weighted_ridge(design, outcomes, weights, 0.0)
    assert coefficients[2] == pytest.approx(0, abs=1e-12)
    assert np.isfinite(coefficients).all()


def test_r2_of_outcomes_that_never_vary_is_one_if_met_and_zero_if_not():
    design, weights = np.eye(3), np.ones(3)
    assert weighted_r2(design, np.full(3, 2.0), weights, np.zeros(3), 2.0) == 1.0
    assert weighted_r2(design, np.full(3, 2.0), weights, np.zeros(3), 1.0) == 0.0


def test_proximity_of_coalitions_to_the_whole_by_hand():
    rows = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
    cosine = np.array([0.0, 0.5, 1.0])  # 1 - sqrt(size / 4)
    np.testing.assert_allclose(proximity(rows, "cosine", 0.25), np.exp(-(cosine**2) / 0.25**2 / 2))
    euclidean = np.array([0.0, 3**0.5, 2.0])
    np.testing.assert_allclose(proximity(rows, "euclidean", 1.5), np.exp(-(euclidean**2) / 1.5**2 / 2))


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_regression_on_all_coalitions_gives_shapley_values(players, rng):
    rows = all_coalitions(players)
    games = rng.normal(size=(2, 2**players))
    weights = [float(kernel_weight(players, size)) for size in rows[1:-1].sum(1)]
    got = shapley_regression(rows[1:-1], games[:, 1:-1], np.array(weights), games[:, 0], games[:, -1])
    for game, shares in zip(games, got, strict=True):
        want = shapley(players, lambda members, game=game: game[sum(1 << player for player in members)])
        np.testing.assert_allclose(shares, want, atol=1e-12)


def test_shares_add_up_however_few_coalitions_are_known(rng):
    rows = np.array([[1, 0, 0, 0], [0, 1, 1, 1]], bool)
    values = rng.normal(size=(3, 2))
    empty, full = rng.normal(size=3), rng.normal(size=3)
    got = shapley_regression(rows, values, np.ones(2), empty, full)
    np.testing.assert_allclose(got.sum(1), full - empty, atol=1e-14)
    np.testing.assert_allclose(got[:, 1], got[:, 3], atol=1e-14)  # nothing tells 1, 2 and 3 apart
