"""Each rule, as the gradient of its part, against loops in NumPy."""

import numpy as np
import pytest
from keras import ops
from oracles.relevance import dense_relevance

from keras_arch.explain.relevance.linear_map import LinearMap
from keras_arch.explain.relevance.origin import Origin, bound
from keras_arch.explain.relevance.rules import (
    AlphaBetaRule,
    EpsilonRule,
    FlatRule,
    GammaRule,
    Rule,
    WSquareRule,
    ZBoxRule,
)
from keras_arch.ops.gradients import gradients

CASES = [
    (EpsilonRule(0.0), "epsilon", {"epsilon": 0.0}),
    (EpsilonRule(0.3), "epsilon", {"epsilon": 0.3}),
    (GammaRule(0.7), "gamma", {"gamma": 0.7}),
    (AlphaBetaRule(3, 2), "alpha_beta", {"alpha": 3, "beta": 2}),
    (AlphaBetaRule(1, 0), "alpha_beta", {"alpha": 1, "beta": 0}),
    (FlatRule(), "flat", {}),
    (WSquareRule(), "w_square", {}),
    (ZBoxRule(-2.0, 3.0), "z_box", {"low": -2.0, "high": 3.0}),
]


@pytest.mark.backend
@pytest.mark.parametrize("scale", [np.float32([1.0] * 4), np.float32([1.5, -0.5, 0.7, -2.0])])
@pytest.mark.parametrize(("rule", "name", "options"), CASES)
def test_parts_have_the_gradients_of_their_rule(rng, rule, name, options, scale):
    weights, bias = rng.normal(size=(6, 4)).astype("float32"), rng.normal(size=4).astype("float32")
    x, relevance = rng.normal(size=(1, 6)).astype("float32"), rng.normal(size=(1, 4)).astype("float32")
    z = x @ weights * scale + bias

    def apply(x, change):
        return ops.matmul(x, change(ops.convert_to_tensor(weights)))

    def total(points):
        (point,) = points
        source = point
        if rule.needs_input:
            source = Origin(ops.convert_to_tensor(x), point, bound(point, -2.0), bound(point, 3.0))
        raw = apply(ops.convert_to_tensor(x) if rule.needs_input else point, lambda weights: weights)
        linear = LinearMap(apply, raw, bias=ops.convert_to_tensor(bias), scale=ops.convert_to_tensor(scale))
        return ops.sum(rule.part(linear, source, ops.convert_to_tensor(z)) * ops.convert_to_tensor(relevance / z))

    start = np.ones_like(x) if rule.needs_input else x
    found = start * ops.convert_to_numpy(gradients(total, [ops.convert_to_tensor(start)])[0])
    want = dense_relevance(x[0], weights * scale, bias, relevance[0], name, **options)
    np.testing.assert_allclose(found[0], want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EpsilonRule(-1.0), "epsilon must be a number in"),
        (lambda: EpsilonRule(bias="half"), "bias must be one of"),
        (lambda: GammaRule(float("nan")), "gamma must be a number in"),
        (lambda: AlphaBetaRule(0.5, -0.5), "alpha must be a number in"),
        (lambda: AlphaBetaRule(2, 2), "beta must be alpha - 1"),
        (lambda: AlphaBetaRule(2, 1, bias="whole"), "bias can be 'whole' for beta=0 only"),
        (lambda: Rule().part(None, None, None), "must define part"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises((ValueError, NotImplementedError), match=message):
        make()
