"""Shapley values from their definition: subsets listed one by one, weights from factorials, exact fractions."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np


def shapley(players: int, value: Callable[[frozenset], float]) -> list[float]:
    """φ_i = Σ over S without i of |S|! (M - |S| - 1)! / M! (v(S ∪ i) - v(S))."""
    shares = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        total = []
        for size in range(players):
            weight = Fraction(math.factorial(size) * math.factorial(players - size - 1), math.factorial(players))
            for chosen in itertools.combinations(others, size):
                without = frozenset(chosen)
                total.append(float(weight) * (value(without | {player}) - value(without)))
        shares.append(math.fsum(total))
    return shares


def permutation_average(players: int, value: Callable[[frozenset], float]) -> list[float]:
    """The same by its other definition: the mean over all orders of what a player adds when it comes."""
    added = np.zeros(players)
    orders = list(itertools.permutations(range(players)))
    for order in orders:
        present: frozenset = frozenset()
        for player in order:
            added[player] += value(present | {player}) - value(present)
            present = present | {player}
    return list(added / len(orders))


def kernel_weight(players: int, size: int) -> Fraction:
    """(M - 1) / (C(M, s) s (M - s)), the weight that makes a linear fit return Shapley values."""
    return Fraction(players - 1, math.comb(players, size) * size * (players - size))
