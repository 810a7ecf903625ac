"""Coalitions of features, and what each feature brings to them: games with M players, on the host, in float64."""

import itertools
import math

import numpy as np


def all_coalitions(players: int) -> np.ndarray:
    """Every subset of M players: row k holds the bits of k, so row 0 is empty and the last one is whole.

    Args:
        players: M, >= 0.
    Returns:
        bool array (2 ** M, M).

    >>> all_coalitions(2).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    return (np.arange(1 << players)[:, None] >> np.arange(players) & 1).astype(bool)


def shapley_values(values: np.ndarray) -> np.ndarray:
    """Shapley values of games that are known for every coalition.

    φ_i = Σ over S without i of |S|! (M - |S| - 1)! / M! · (v(S ∪ {i}) - v(S))

    Args:
        values: (N, 2 ** M), v of the coalitions in the order of `all_coalitions`.   N: games.   M: players.
    Returns:
        float64 array (N, M); each row sums to v(all) - v(none).
    Source: Shapley 1953, doi:10.1515/9781400881970-018.

    >>> shapley_values(np.array([[0.0, 1.0, 1.0, 4.0]])).tolist()     # v = |S| squared
    [[2.0, 2.0]]
    """
    values = np.asarray(values, "float64")
    players = values.shape[1].bit_length() - 1
    members = all_coalitions(players)
    sizes = members.sum(1)
    weights = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)] or [0.0])
    with_it, without = weights[np.maximum(sizes - 1, 0)], weights[np.minimum(sizes, len(weights) - 1)]
    return (values * with_it) @ members - (values * without) @ ~members


def shapley_kernel(players: int) -> np.ndarray:
    """Weight of one coalition of each size 1 … M - 1 in the linear fit whose solution is the Shapley values.

    π(s) = (M - 1) / (C(M, s) · s · (M - s))

    Args:
        players: M, >= 2.
    Returns:
        float64 array (M - 1,).
    Source: Lundberg and Lee 2017, arXiv:1705.07874, theorem 2.

    >>> shapley_kernel(3).tolist()
    [0.3333333333333333, 0.3333333333333333]
    """
    return np.array([(players - 1) / (math.comb(players, s) * s * (players - s)) for s in range(1, players)])


def kernel_coalitions(players: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Coalitions for Kernel SHAP and their weights, each with its complement.

    If 2 ** M <= samples all of them, with the Shapley kernel. Otherwise sizes are listed whole, from the smallest and
    largest inwards, as long as the budget covers all coalitions of a size in proportion to its mass; what is left is
    drawn from the other sizes, which share their mass equally among the draws.

    Args:
        players: M, >= 1.
        samples: budget, the empty and the whole coalition included.
        seed: of the draws.
    Returns:
        bool array (S, M) without the empty and the whole coalition and without repetition, S <= samples - 2, and
        their float64 weights (S,), positive.
    Source: Lundberg and Lee 2017, arXiv:1705.07874, and the sampler of its authors' package shap; pairs: Covert and
    Lee 2021, arXiv:2012.01536.

    >>> rows, weights = kernel_coalitions(3, 8, seed=0)
    >>> rows.astype(int).tolist()[:2]
    [[1, 0, 0], [0, 1, 1]]
    """
    mass = np.array([1 / (size * (players - size)) for size in range(1, players // 2 + 1)])
    mass[: (players - 1) // 2] *= 2  # a size and that of its complement, unless they are the same
    mass /= mass.sum() or 1.0
    whole = math.log2(samples) >= players
    pairs, rows, weights = (samples - 2) // 2, [], []
    for size in range(1, len(mass) + 1):
        number = math.comb(players, size)
        number = number // 2 if 2 * size == players else number
        if not whole and pairs * mass[size - 1] / mass[size - 1 :].sum() < number * (1 - 1e-8):
            drawn, counts = _draw(players, mass[size - 1 :] / mass[size - 1 :].sum(), size, pairs, seed)
            rows.append(drawn)
            weights.append(counts / counts.sum() * mass[size - 1 :].sum())
            break
        rows.append(_of_size(players, size)[:number])
        weights.append(np.full(number, mass[size - 1] / number))
        pairs -= number
    if not rows:
        return np.zeros((0, players), bool), np.zeros(0)
    smaller = np.concatenate(rows)
    both = np.stack([smaller, ~smaller], axis=1).reshape(-1, players)  # (2 · pairs, M), each beside its complement
    return both, np.repeat(np.concatenate(weights) / 2, 2)


def _of_size(players: int, size: int) -> np.ndarray:
    """All coalitions of a size in lexicographic order: of half the players, the first half complements the second."""
    places = np.array(list(itertools.combinations(range(players), size)), dtype=int)
    rows = np.zeros((len(places), players), bool)
    np.put_along_axis(rows, places, True, axis=1)
    return rows


def _draw(players: int, mass: np.ndarray, smallest: int, pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Different coalitions of sizes `smallest`…, each the smaller half of a pair, and how often each was drawn."""
    generator = np.random.default_rng(seed)
    found: dict[bytes, int] = {}
    for _ in range(64):
        sizes = generator.choice(len(mass), size=max(pairs, 1), p=mass) + smallest
        ranks = generator.random((len(sizes), players)).argsort(1).argsort(1)
        rows = ranks < sizes[:, None]  # (draws, M)
        rows ^= ((2 * sizes == players) & ~rows[:, 0])[:, None]  # of two halves the one with the first player
        for packed in np.packbits(rows, axis=1):
            key = packed.tobytes()
            if key not in found and len(found) >= pairs:
                break
            found[key] = found.get(key, 0) + 1
        else:
            continue
        break
    packed = np.array([np.frombuffer(key, "uint8") for key in found]).reshape(len(found), -1)
    return np.unpackbits(packed, axis=1, count=players).astype(bool), np.array(list(found.values()), "float64")


def orders(players: int, count: int, seed: int) -> np.ndarray:
    """Random orders of the players; every second one is the one before it backwards, which lowers the variance.

    Args:
        players: M.
        count: K, how many.
        seed: of the draws.
    Returns:
        int array (K, M).
    Source: Castro, Gómez and Tejada 2009, doi:10.1016/j.cor.2008.04.004; backwards: Mitchell et al. 2022,
    arXiv:2104.12199.

    >>> order, backwards = orders(3, 2, seed=0)
    >>> (order == backwards[::-1]).all()
    np.True_
    """
    generator = np.random.default_rng(seed)
    forward = [generator.permutation(players) for _ in range((count + 1) // 2)]
    return np.array([one for order in forward for one in (order, order[::-1])][:count])
