"""Spearman's correlation against SciPy."""

import numpy as np
import pytest

from keras_arch.explain.metrics.rank_correlation import rank_correlation

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("levels", [3, 10, 10**6])  # few levels: many ties
def test_it_equals_scipy(rng, levels):
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    a, b = rng.integers(0, levels, (2, 5, 40)).astype("float64")
    want = [stats.spearmanr(one, other).statistic for one, other in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b), want, atol=1e-12)


def test_it_sees_order_only():
    a = np.array([[0.0, 1.0, 2.0, 5.0]])
    np.testing.assert_allclose(rank_correlation(a, np.exp(a)), 1)
    np.testing.assert_allclose(rank_correlation(a, -a), -1)


def test_constant_rows():
    flat, other = np.zeros((1, 4)), np.array([[1.0, 2.0, 3.0, 4.0]])
    assert rank_correlation(flat, flat + 3).tolist() == [1]
    assert rank_correlation(flat, other).tolist() == [0]
    assert rank_correlation(other, flat).tolist() == [0]
