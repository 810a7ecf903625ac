"""Every public method of explaining on every kind of model: an invariant holds, or the documented error is raised."""

import inspect

import keras
import numpy as np
import pytest
from conformance import attention_checks, gradient_checks, perturbation_checks, relevance_checks
from conformance.zoo import ZOO, Case

from keras_arch import explain
from keras_arch.core import walk
from keras_arch.explain.method import Method
from keras_arch.ops.gradients import gradients

pytestmark = pytest.mark.backend


def score(case: Case, outputs):
    """(N,) of what `case.target` means, written out without the package."""
    ops = keras.ops
    if isinstance(outputs, dict):
        return ops.stack([outputs["cls"][row, row] for row in range(3)]) + outputs["value"][:, 0]
    outputs = ops.cast(outputs, "float32")
    if isinstance(case.target, tuple):
        return outputs[(slice(None), *case.target)]
    return ops.max(outputs, axis=-1)


def eager(case: Case):
    """Features, their gradient and scores by eager calls with a patched layer, without the package's engine."""
    layer = walk.find(case.model, case.features)
    original, box = layer.call, []

    def run(change):
        def call(*args, **kwargs):
            box.append(change(original(*args, **kwargs)))
            return box[-1]

        object.__setattr__(layer, "call", call)
        try:
            return score(case, case.model(case.x, training=False))
        finally:
            object.__delattr__(layer, "call")

    scores = run(lambda result: result)
    features = box[-1]
    (gradient,) = gradients(lambda points: keras.ops.sum(run(lambda result: points[0])), [features])
    return tuple(np.asarray(keras.ops.convert_to_numpy(found), "float32") for found in (features, gradient, scores))


def tolerance(name: str) -> float:
    return 1e-2 if name == "mixed_float16" else 1e-4


def check_grad_cam(name: str, case: Case) -> None:
    if case.features is None:
        with pytest.raises(ValueError, match="layer must be given"):
            explain.GradCAM().explain(case.model, case.x, case.target)
        return
    default = None if name == "tokens" else case.features
    if default is None:
        with pytest.raises(ValueError, match="layer must be given"):
            explain.GradCAM().explain(case.model, case.x, case.target)
    method = explain.GradCAM(layer=case.features, relu=False, interpolation=None)
    got = method.explain(case.model, case.x, case.target)
    features, gradient, scores = eager(case)
    axes = tuple(range(1, features.ndim - 1))
    want = (features * gradient.mean(axes, keepdims=True)).sum(-1)
    np.testing.assert_allclose(got.values[..., 0], want, atol=tolerance(name) * np.abs(want).max())
    np.testing.assert_allclose(got.scores, scores, rtol=tolerance(name), atol=1e-6)
    full = explain.GradCAM(layer=case.features).explain(case.model, case.x, case.target)
    positions = keras.tree.flatten(case.x)[0].shape[1 : features.ndim - 1]
    assert full.values.shape == (3, *positions, 1)
    assert full.values.min() >= 0


def check_integrated_gradients(name: str, case: Case) -> None:
    if case.embedding is not None:
        assert explain.IntegratedGradients().explain(case.model, case.x, case.target).layer == case.embedding
    for layer in {case.embedding, case.features} if case.features else {None}:
        got = explain.IntegratedGradients(steps=24, layer=layer).explain(case.model, case.x, case.target)
        leaves = keras.tree.flatten(got.values)
        total = sum(leaf.reshape(3, -1).sum(1) for leaf in leaves)
        change = got.scores - got.baseline_scores
        np.testing.assert_allclose(total, change, atol=10 * tolerance(name) * np.abs(change).max())
        np.testing.assert_allclose(got.convergence_delta, total - change, atol=1e-5)
        want = keras.ops.convert_to_numpy(score(case, case.model(case.x)))
        np.testing.assert_allclose(got.scores, want, rtol=tolerance(name), atol=1e-6)
        if layer is None:
            keras.tree.assert_same_structure(got.values, case.x)
            assert [leaf.shape for leaf in leaves] == [leaf.shape for leaf in keras.tree.flatten(case.x)]
        else:
            assert leaves[0].shape == eager(case)[0].shape


CHECKS = {
    "GradCAM": check_grad_cam,
    "IntegratedGradients": check_integrated_gradients,
    **attention_checks.CHECKS,
    **gradient_checks.CHECKS,
    **perturbation_checks.CHECKS,
    **relevance_checks.CHECKS,
}


def public_methods() -> set[str]:
    named = {name: getattr(explain, name) for name in explain.__all__}
    return {
        name
        for name, thing in named.items()
        if inspect.isclass(thing) and issubclass(thing, Method) and thing is not Method
    }


def test_every_public_method_has_a_case():
    assert public_methods() == set(CHECKS)


@pytest.mark.parametrize("kind", ZOO)
def test_methods_hold_their_promise_on_every_kind_of_model(kind):
    case = ZOO[kind]()
    case.model(case.x)
    before = [np.array(weight) for weight in case.model.get_weights()]
    for name in sorted(public_methods()):
        CHECKS[name](kind, case)
    for was, now in zip(before, case.model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    assert not [path for path, layer in walk.walk(case.model) if "call" in vars(layer)]
