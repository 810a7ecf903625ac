"""What relevance promises on each kind of model of the zoo."""

import keras
import numpy as np

from keras_arch.explain.relevance.composite import Composite
from keras_arch.explain.relevance.lrp import LRP
from keras_arch.explain.relevance.rules import EpsilonRule, FlatRule


def check_lrp(name, case) -> None:
    """Relevance and what biases absorb add up to the score; without biases, relevance alone does."""
    tolerance = 2e-2 if name == "mixed_float16" else 1e-4
    got = LRP().explain(case.model, case.x, case.target)
    leaves = keras.tree.flatten(got.values)
    if case.embedding is None:
        keras.tree.assert_same_structure(got.values, case.x)
        assert [leaf.shape for leaf in leaves] == [leaf.shape for leaf in keras.tree.flatten(case.x)]
    else:
        assert got.layer == case.embedding
    assert all(leaf.dtype == np.float32 and np.abs(leaf).max() > 0 for leaf in leaves)
    total = sum(leaf.reshape(3, -1).sum(1) for leaf in leaves)
    np.testing.assert_allclose(got.convergence_delta, total - got.scores, atol=1e-5)
    if case.features is not None:
        deep = LRP(layer=case.features).explain(case.model, case.x, case.target)
        assert deep.layer == case.features

    biases = [
        weight for weight in case.model.weights if weight.path.rpartition("/")[2] in ("bias", "beta", "moving_mean")
    ]
    before = [np.array(weight) for weight in biases]
    try:
        for weight in biases:
            weight.assign(np.zeros(weight.shape))
        free = LRP(EpsilonRule(0.0)).explain(case.model, case.x, case.target)
        leaves = keras.tree.flatten(free.values)
        size = sum(np.abs(leaf).reshape(3, -1).sum(1) for leaf in leaves)
        total = sum(leaf.reshape(3, -1).sum(1) for leaf in leaves)
        np.testing.assert_allclose(total, free.scores, atol=tolerance * size.max())
    finally:
        for weight, value in zip(biases, before, strict=True):
            weight.assign(value)

    if name in ("functional", "sequential", "nested", "regression", "segmentation", "multi_output", "vectors"):
        flat = LRP(Composite(input=FlatRule())).explain(case.model, case.x, case.target)
        keras.tree.assert_same_structure(flat.values, case.x)


CHECKS = {"LRP": check_lrp}
