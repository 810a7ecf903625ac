"""Quadrature on the unit interval: where a path integral samples its integrand, and how it weighs the samples."""

import numpy as np

from keras_arch.core import check

RULES = ("gauss_legendre", "riemann_left", "riemann_middle", "riemann_right", "trapezoid")


def quadrature(rule: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights that turn an integral over [0, 1] into a weighted sum.

    ∫₀¹ f(t) dt ≈ Σₖ weights[k] · f(nodes[k]),   Σₖ weights[k] = 1.   n: steps.

    | rule           | nodes                        | weights                  | exact for polynomials of degree |
    |----------------|------------------------------|--------------------------|---------------------------------|
    | gauss_legendre | roots of the n-th Legendre P | Gauss weights            | 2 n - 1                         |
    | riemann_left   | k / n                        | 1 / n                    | 0                               |
    | riemann_middle | (k + 1/2) / n                | 1 / n                    | 1                               |
    | riemann_right  | (k + 1) / n                  | 1 / n                    | 0                               |
    | trapezoid      | k / (n - 1)                  | 1 / (n - 1), ends halved | 1                               |

    Args:
        rule: one of the names in the table.
        steps: n, how often the integrand is evaluated, >= 1 (>= 2 for "trapezoid").
    Returns:
        Two float64 arrays of shape (n,): nodes in ascending order and weights.
    Raises:
        ValueError: for an unknown rule or too few steps.
    Source: Golub and Welsch 1969, doi:10.1090/S0025-5718-69-99647-1 (Gauss nodes). The trapezoid weights sum to 1,
    not to (n - 1) / n as in some implementations of integrated gradients.

    >>> nodes, weights = quadrature("gauss_legendre", 3)
    >>> print(round(float(np.sum(weights * nodes**5)), 12))     # the integral of t^5 is 1/6
    0.166666666667
    """
    check.one_of("rule", rule, RULES)
    check.integer("steps", steps, minimum=2 if rule == "trapezoid" else 1)
    if rule == "gauss_legendre":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return (1 + nodes) / 2, weights / 2
    if rule == "trapezoid":
        weights = np.full(steps, 1 / (steps - 1))
        weights[[0, -1]] /= 2
        return np.linspace(0, 1, steps), weights
    offset = {"riemann_left": 0.0, "riemann_middle": 0.5, "riemann_right": 1.0}[rule]
    return (np.arange(steps) + offset) / steps, np.full(steps, 1 / steps)
