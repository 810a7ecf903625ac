"""Games and coalitions against subsets listed one by one."""

import math

import numpy as np
import pytest
from oracles.shapley import kernel_weight, permutation_average, shapley

from keras_arch.ops.coalitions import (
    all_coalitions,
    kernel_coalitions,
    orders,
    shapley_kernel,
    shapley_values,
)

pytestmark = pytest.mark.backend


def a_game(players, rng):
    """Values of all coalitions, and the same as a function of the players in it."""
    values = rng.normal(size=2**players)
    return values, lambda members: values[sum(1 << player for player in members)]


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_row_k_of_all_coalitions_holds_the_bits_of_k(players):
    rows = all_coalitions(players)
    assert rows.shape == (2**players, players)
    assert rows.dtype == bool
    for number, row in enumerate(rows):
        assert [bool(number >> player & 1) for player in range(players)] == row.tolist()


@pytest.mark.parametrize("players", [1, 2, 4, 5])
def test_shapley_values_equal_both_definitions(players, rng):
    values, value = a_game(players, rng)
    got = shapley_values(values[None])[0]
    np.testing.assert_allclose(got, shapley(players, value), atol=1e-14)
    np.testing.assert_allclose(got, permutation_average(players, value), atol=1e-14)


def test_games_are_valued_one_by_one(rng):
    games = rng.normal(size=(3, 16))
    each = [shapley_values(game[None])[0] for game in games]
    np.testing.assert_allclose(shapley_values(games), each, atol=1e-14)


@pytest.mark.parametrize("players", [2, 3, 6, 11])
def test_kernel_equals_the_formula_in_fractions(players):
    want = [float(kernel_weight(players, size)) for size in range(1, players)]
    np.testing.assert_allclose(shapley_kernel(players), want, rtol=1e-14)


@pytest.mark.parametrize("players", [2, 3, 4, 7])
def test_enough_samples_list_every_coalition_once_with_the_kernel(players):
    rows, weights = kernel_coalitions(players, samples=2**players, seed=0)
    assert len(rows) == 2**players - 2
    assert len({tuple(row) for row in rows}) == len(rows)
    want = shapley_kernel(players)[rows.sum(1) - 1]
    np.testing.assert_allclose(weights / weights.sum(), want / want.sum(), rtol=1e-12)


@pytest.mark.parametrize(("players", "samples"), [(11, 100), (12, 500), (40, 300), (40, 41), (300, 64)])
def test_fewer_samples_come_in_pairs_without_repetition_and_within_the_budget(players, samples):
    rows, weights = kernel_coalitions(players, samples, seed=3)
    found = {tuple(row) for row in rows.tolist()}
    assert len(found) == len(rows) <= samples - 2
    assert len(rows) >= min(samples - 3, 2**players - 2)
    assert all(tuple(not part for part in row) in found for row in found)
    table = {tuple(row): weight for row, weight in zip(rows.tolist(), weights, strict=True)}
    assert all(table[tuple(not part for part in row)] == pytest.approx(weight) for row, weight in table.items())
    assert rows.sum(1).min() > 0
    assert rows.sum(1).max() < players
    again = kernel_coalitions(players, samples, seed=3)
    np.testing.assert_array_equal(rows, again[0])
    np.testing.assert_array_equal(weights, again[1])
    if samples < 2 * players:
        assert not np.array_equal(rows, kernel_coalitions(players, samples, seed=4)[0][: len(rows)])


def test_a_size_that_the_budget_covers_is_listed_whole_with_its_exact_weight():
    rows, weights = kernel_coalitions(12, 500, seed=0)
    share = shapley_kernel(12) * [math.comb(12, size) for size in range(1, 12)]
    share = share / share.sum()
    for size in (1, 11, 2, 10):
        of_size = rows.sum(1) == size
        assert of_size.sum() == (12 if size in (1, 11) else 66)
        np.testing.assert_allclose(weights[of_size], share[size - 1] / of_size.sum() * weights.sum(), rtol=1e-12)


def test_sampled_sizes_follow_the_mass_of_the_kernel():
    rows, weights = kernel_coalitions(60, 20000, seed=0)
    sizes = rows.sum(1)
    mass = 1 / (np.arange(1, 60) * (60 - np.arange(1, 60)))
    got = np.bincount(sizes, weights, 60)[1:]
    for low, high in ((3, 10), (10, 30)):
        want = mass[low - 1 : high - 1].sum() / mass.sum()
        assert got[low - 1 : high - 1].sum() / got.sum() == pytest.approx(want, rel=0.05)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_orders_are_permutations_and_every_second_reverses_the_one_before(count):
    got = orders(6, count, seed=1)
    assert got.shape == (count, 6)
    assert all(sorted(order) == list(range(6)) for order in got.tolist())
    np.testing.assert_array_equal(got[1::2], got[: count // 2 * 2 : 2, ::-1])
    np.testing.assert_array_equal(got, orders(6, count, seed=1))
    assert not np.array_equal(got[0], orders(6, count, seed=2)[0])
