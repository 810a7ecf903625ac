"""Quadrature rules against exact moments and sums written out."""

import math

import numpy as np
import pytest
from oracles.quadrature import moment, riemann, trapezoids

from keras_arch.ops.quadrature import RULES, quadrature

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("steps", [2, 5, 64])
def test_weights_sum_to_one_and_nodes_ascend_within_the_unit_interval(rule, steps):
    nodes, weights = quadrature(rule, steps)
    assert nodes.shape == weights.shape == (steps,)
    assert nodes.dtype == weights.dtype == np.float64
    assert moment(nodes, weights, 0) == pytest.approx(1, abs=1e-14)
    assert (np.diff(nodes) > 0).all()
    assert nodes[0] >= 0
    assert nodes[-1] <= 1


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 20])
def test_gauss_legendre_is_exact_up_to_degree_2n_minus_1_and_not_beyond(steps):
    nodes, weights = quadrature("gauss_legendre", steps)
    for degree in range(2 * steps):
        assert moment(nodes, weights, degree) == pytest.approx(1 / (degree + 1), abs=1e-14)
    # The error term of Gauss quadrature on [0, 1] for t^(2n).
    n = steps
    error = math.factorial(n) ** 4 / ((2 * n + 1) * math.factorial(2 * n) ** 2)
    assert 1 / (2 * n + 1) - moment(nodes, weights, 2 * n) == pytest.approx(error, rel=1e-3, abs=1e-15)


@pytest.mark.parametrize(("rule", "offset"), [("riemann_left", 0.0), ("riemann_middle", 0.5), ("riemann_right", 1.0)])
def test_riemann_rules_equal_a_sum_over_cells(rule, offset):
    nodes, weights = quadrature(rule, 7)
    assert np.sum(weights * np.exp(nodes)) == pytest.approx(riemann(math.exp, 7, offset), rel=1e-14)


@pytest.mark.parametrize("steps", [2, 7])
def test_trapezoid_equals_the_areas_of_trapezoids(steps):
    nodes, weights = quadrature("trapezoid", steps)
    assert np.sum(weights * np.exp(nodes)) == pytest.approx(trapezoids(math.exp, steps), rel=1e-14)


@pytest.mark.parametrize(
    ("rule", "steps", "match"),
    [
        ("simpson", 4, "rule must be one of 'gauss_legendre'"),
        ("gauss_legendre", 0, "steps must be an integer >= 1"),
        ("trapezoid", 1, "steps must be an integer >= 2"),
        ("gauss_legendre", 2.5, "steps must be an integer"),
    ],
)
def test_bad_settings_are_named(rule, steps, match):
    with pytest.raises(ValueError, match=match):
        quadrature(rule, steps)
