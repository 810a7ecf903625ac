"""Checks of the gradient methods and class activation maps on every kind of model, against eager gradients."""

import keras
import numpy as np
import pytest
from conformance.zoo import Case
from keras import ops

from keras_arch.core import walk
from keras_arch.explain import GradCAM, IntegratedGradients
from keras_arch.explain.cam.grad_cam_plus_plus import GradCAMPlusPlus
from keras_arch.explain.cam.guided_grad_cam import GuidedGradCAM
from keras_arch.explain.cam.hi_res_cam import HiResCAM
from keras_arch.explain.cam.layer_cam import LayerCAM
from keras_arch.explain.cam.score_cam import ScoreCAM
from keras_arch.explain.gradient.deconvnet import Deconvnet
from keras_arch.explain.gradient.expected_gradients import ExpectedGradients
from keras_arch.explain.gradient.guided_backprop import GuidedBackprop
from keras_arch.explain.gradient.input_x_gradient import InputXGradient
from keras_arch.explain.gradient.noise import NoiseSteps
from keras_arch.explain.gradient.saliency import Saliency
from keras_arch.explain.gradient.smooth_grad import SmoothGrad
from keras_arch.explain.gradient.var_grad import VarGrad
from keras_arch.ops.gradients import gradients


def tolerance(name: str) -> float:
    return 1e-2 if name == "mixed_float16" else 1e-4


def array(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), "float32")


def score(case: Case, outputs):
    """(N,) of what `case.target` means; the predicted class is that of the samples themselves."""
    if isinstance(outputs, dict):
        return ops.stack([outputs["cls"][row, row] for row in range(3)]) + outputs["value"][:, 0]
    outputs = ops.cast(outputs, "float32")
    if isinstance(case.target, tuple):
        return outputs[(slice(None), *case.target)]
    predicted = array(case.model(case.x, training=False)).argmax(-1)
    return ops.stack([outputs[row, int(one)] for row, one in enumerate(predicted)])


def at_layer(case: Case, path: str, change=lambda point: point):
    """What a layer returns after `change`, the gradient there and the scores, by eager calls of a patched layer."""
    layer = walk.find(case.model, path)
    original, box = layer.call, []

    def run(moved):
        def call(*args, **kwargs):
            box.append(ops.cast(moved(original(*args, **kwargs)), layer.compute_dtype))
            return box[-1]

        object.__setattr__(layer, "call", call)
        try:
            outputs = case.model(case.x, training=False)
        finally:
            object.__delattr__(layer, "call")
        return score(case, outputs)

    scores, point = run(change), box[-1]
    (gradient,) = gradients(lambda points: ops.sum(run(lambda result: points[0])), [point])
    return array(point), array(gradient), array(scores)


def at_point(case: Case, change=lambda point: point):
    """Point, gradient and scores where a gradient method looks: the inputs, or the embedding of token ids."""
    if case.embedding is not None:
        return at_layer(case, case.embedding, change)
    point = keras.tree.map_structure(ops.convert_to_tensor, change(case.x))

    def run(leaves):
        return score(case, case.model(keras.tree.pack_sequence_as(point, list(leaves)), training=False))

    leaves = keras.tree.flatten(point)
    found = gradients(lambda leaves: ops.sum(run(leaves)), leaves)
    gradient = keras.tree.pack_sequence_as(point, found)
    return keras.tree.map_structure(array, point), keras.tree.map_structure(array, gradient), array(run(leaves))


def same(name: str, got, want, factor: float = 1) -> None:
    keras.tree.assert_same_structure(got, want)
    largest = max(np.abs(leaf).max() for leaf in keras.tree.flatten(want))
    for one, other in zip(keras.tree.flatten(got), keras.tree.flatten(want), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=factor * tolerance(name) * largest)


def point_check(method, combine):
    def check(name: str, case: Case) -> None:
        got = method.explain(case.model, case.x, case.target)
        point, gradient, scores = at_point(case)
        same(name, got.values, keras.tree.map_structure(combine, point, gradient))
        np.testing.assert_allclose(got.scores, scores, rtol=tolerance(name), atol=1e-6)
        assert got.layer == case.embedding

    return check


def noisy_gradients(case: Case, method):
    clean = at_point(case)[0]

    def scale(leaf):
        return method.noise * np.ptp(leaf, axis=tuple(range(1, leaf.ndim)), keepdims=True)

    first = keras.tree.map_structure(lambda leaf: leaf[0], clean)
    for noise, _ in NoiseSteps(method.seed, method.samples, first):
        moved = keras.tree.map_structure(lambda leaf, part: leaf + scale(leaf) * part, clean, noise)
        yield at_point(case, lambda point, moved=moved: moved)[1]


def noisy_check(method, reduce):
    def check(name: str, case: Case) -> None:
        got = method.explain(case.model, case.x, case.target)
        each = list(noisy_gradients(case, method))
        want = keras.tree.map_structure(lambda *parts: reduce(np.stack(parts), axis=0), *each)
        same(name, got.values, want, 10)
        if case.embedding is None:
            mean = SmoothGrad(IntegratedGradients(steps=2), samples=1, noise=0.0).explain(
                case.model, case.x, case.target
            )
            plain = IntegratedGradients(steps=2).explain(case.model, case.x, case.target)
            same(name, mean.values, plain.values)
        else:
            with pytest.raises(ValueError, match="x must be floats to be blurred by noise"):
                type(method)(IntegratedGradients()).explain(case.model, case.x, case.target)

    return check


def check_expected_gradients(name: str, case: Case) -> None:
    background = keras.tree.map_structure(lambda leaf: leaf[::-1][:2], case.x)
    got = ExpectedGradients(background, samples=1, seed=3).explain(case.model, case.x, case.target)
    pick = np.random.default_rng(3).integers(0, 2, 1)[0]
    place = np.random.default_rng((3, 0)).random(1)[0]
    clean = at_point(case)[0]
    rows = keras.tree.map_structure(lambda leaf: leaf[::-1][pick : pick + 1], clean)
    moved = keras.tree.map_structure(lambda leaf, row: (row + place * (leaf - row)).astype("float32"), clean, rows)
    gradient = at_point(case, lambda point: moved)[1]
    same(name, got.values, keras.tree.map_structure(lambda leaf, row, g: (leaf - row) * g, clean, rows, gradient), 10)
    start = at_point(case, lambda point: keras.tree.map_structure(lambda leaf, row: leaf * 0 + row, clean, rows))[2]
    np.testing.assert_allclose(got.baseline_scores, start, rtol=10 * tolerance(name), atol=1e-5)


def cam_check(make, combine):
    def check(name: str, case: Case) -> None:
        if case.features is None or name == "tokens":
            with pytest.raises(ValueError, match="layer must be given"):
                make().explain(case.model, case.x, case.target)
        if case.features is None:
            return
        got = make(layer=case.features, relu=False, interpolation=None).explain(case.model, case.x, case.target)
        features, gradient, scores = at_layer(case, case.features)
        same(name, got.values[..., 0], combine(features, gradient).astype("float32"))
        np.testing.assert_allclose(got.scores, scores, rtol=tolerance(name), atol=1e-6)
        full = make(layer=case.features).explain(case.model, case.x, case.target)
        assert full.values.shape == (3, *keras.tree.flatten(case.x)[0].shape[1 : features.ndim - 1], 1)
        assert full.values.min() >= 0

    return check


def plus_plus(features, gradient):
    axes = tuple(range(1, features.ndim - 1))
    below = 2 * gradient**2 + features.sum(axes, keepdims=True) * gradient**3
    alpha = np.divide(gradient**2, below, out=np.zeros_like(below), where=below != 0)
    weights = (alpha * np.maximum(gradient, 0)).sum(axes, keepdims=True)
    return (features * weights).sum(-1)


def check_score_cam(name: str, case: Case) -> None:
    if case.features is None:
        with pytest.raises(ValueError, match="layer must be given"):
            ScoreCAM().explain(case.model, case.x, case.target)
        return
    if name == "tokens":
        with pytest.raises(ValueError, match="x must have an input of floats"):
            ScoreCAM(layer=case.features).explain(case.model, case.x, case.target)
        return
    got = ScoreCAM(layer=case.features, relu=False, interpolation=None).explain(case.model, case.x, case.target)
    features = at_layer(case, case.features)[0]
    first, *others = keras.tree.flatten(case.x)
    weights = []
    for channel in range(features.shape[-1]):
        part = (
            keras.ops.image.resize(features[..., channel : channel + 1], first.shape[1:3]) if first.ndim == 4 else None
        )
        part = features[..., channel : channel + 1] if part is None else array(part)
        axes = tuple(range(1, part.ndim))
        mask = (part - part.min(axes, keepdims=True)) / np.ptp(part, axis=axes, keepdims=True)
        masked = [first * mask, *others] if others else first * mask
        weights.append(array(score(case, case.model(masked, training=False))))
    want = np.einsum("n...c,cn->n...", features, np.stack(weights)).astype("float32")
    same(name, got.values[..., 0], want, 10)


def check_guided_grad_cam(name: str, case: Case) -> None:
    if case.features is None:
        with pytest.raises(ValueError, match="layer must be given"):
            GuidedGradCAM().explain(case.model, case.x, case.target)
        return
    got = GuidedGradCAM(layer=case.features).explain(case.model, case.x, case.target)
    where = GradCAM(layer=case.features).explain(case.model, case.x, case.target).values
    gradient = at_point(case)[1]  # no ReLU in the zoo, so the guided gradient is the gradient
    want = keras.tree.map_structure(lambda leaf: leaf * where if leaf.ndim == where.ndim else 0 * leaf, gradient)
    same(name, got.values, want, 10)
    assert got.layer == case.features


CHECKS = {
    "Deconvnet": point_check(Deconvnet(), lambda point, gradient: gradient),
    "ExpectedGradients": check_expected_gradients,
    "GradCAMPlusPlus": cam_check(GradCAMPlusPlus, plus_plus),
    "GradientSHAP": check_expected_gradients,
    "GuidedBackprop": point_check(GuidedBackprop(), lambda point, gradient: gradient),
    "GuidedGradCAM": check_guided_grad_cam,
    "HiResCAM": cam_check(HiResCAM, lambda features, gradient: (features * gradient).sum(-1)),
    "InputXGradient": point_check(InputXGradient(), np.multiply),
    "LayerCAM": cam_check(LayerCAM, lambda features, gradient: (features * np.maximum(gradient, 0)).sum(-1)),
    "Saliency": point_check(Saliency(), lambda point, gradient: abs(gradient)),
    "ScoreCAM": check_score_cam,
    "SmoothGrad": noisy_check(SmoothGrad(samples=3), np.mean),
    "VarGrad": noisy_check(VarGrad(samples=3), np.var),
}
