"""What the methods without gradients promise on every kind of model of the zoo."""

import keras
import numpy as np
import pytest
from conformance.zoo import Case
from keras import ops
from oracles.surrogate import ridge

from keras_arch.explain.perturbation.layout import layouts
from keras_arch.explain.perturbation.lime import LIME
from keras_arch.explain.perturbation.occlusion import Occlusion
from keras_arch.explain.perturbation.random_masks import grow
from keras_arch.explain.perturbation.rise import RISE
from keras_arch.explain.perturbation.tabular_lime import TabularLIME
from keras_arch.explain.shapley.kernel_shap import KernelSHAP
from keras_arch.explain.shapley.shapley_values import ShapleyValues


def tolerance(name: str) -> float:
    return 1e-2 if name == "mixed_float16" else 1e-4


def scores_of(case: Case, inputs) -> np.ndarray:
    """(N,) of the target for three samples, or versions of them in the order of the samples, by a plain call.

    The predicted class is the one of the untouched samples.
    """
    outputs = keras.tree.map_structure(ops.convert_to_numpy, case.model(inputs, training=False))
    if isinstance(outputs, dict):
        each = len(outputs["cls"]) // 3
        return outputs["cls"][np.arange(3 * each), np.repeat([0, 1, 2], each)] + outputs["value"][:, 0]
    outputs = outputs.astype("float32")
    if isinstance(case.target, tuple):
        return outputs[(slice(None), *case.target)]
    predicted = ops.convert_to_numpy(case.model(case.x, training=False)).argmax(-1)
    return outputs[np.arange(len(outputs)), np.repeat(predicted, len(outputs) // 3)]


def rebuilt(case: Case, leaves: list):
    return keras.tree.pack_sequence_as(case.x, leaves) if keras.tree.is_nested(case.x) else leaves[0]


def halves(case: Case):
    """Labels that part each input along its first axis: two features an input, numbered across inputs."""
    maps = []
    for number, leaf in enumerate(keras.tree.flatten(case.x)):
        where = np.arange(leaf.shape[1]) >= leaf.shape[1] // 2
        map_of_one = np.zeros(leaf.shape[1:], int) + where.reshape(-1, *[1] * (leaf.ndim - 2))
        maps.append(2 * number + map_of_one)
    return rebuilt(case, maps), 2 * len(maps)


def without(case: Case, labels, kept: np.ndarray):
    """Versions (3 · S) of the samples, grouped by sample, whose features outside the rows of `kept` are 0."""
    leaves = []
    for leaf, label in zip(keras.tree.flatten(case.x), keras.tree.flatten(labels), strict=True):
        stays = kept[:, label]  # (S, *shape)
        changed = leaf[:, None] * stays.astype(leaf.dtype)
        leaves.append(changed.reshape(-1, *leaf.shape[1:]))
    return rebuilt(case, leaves)


def same_structure(got, case: Case) -> None:
    keras.tree.assert_same_structure(got.values, case.x)
    for one, leaf in zip(keras.tree.flatten(got.values), keras.tree.flatten(case.x), strict=True):
        assert one.shape == leaf.shape
        assert one.dtype == np.float32


def near(got, want, name: str) -> None:
    np.testing.assert_allclose(got, want, atol=tolerance(name) * (np.abs(want).max() + 1e-3))


def check_occlusion(name: str, case: Case) -> None:
    """A window as large as an input falls by F(x) - F(that input at 0); a window of one column by its own."""
    whole = scores_of(case, case.x)
    leaves = keras.tree.flatten(case.x)
    sizes = [leaf.shape[1:-1] if leaf.ndim > 2 else leaf.shape[1:] for leaf in leaves]
    window = list(sizes) if keras.tree.is_nested(case.x) else sizes[0]
    got = Occlusion(window).explain(case.model, case.x, case.target)
    same_structure(got, case)
    near(got.scores, whole, name)
    for number, values in enumerate(keras.tree.flatten(got.values)):
        covered = rebuilt(case, [leaf * (number != other) for other, leaf in enumerate(leaves)])
        fall = whole - scores_of(case, covered)
        near(values, np.broadcast_to(fall.reshape(-1, *[1] * (values.ndim - 1)), values.shape), name)
    got = Occlusion(window=1).explain(case.model, case.x, case.target)
    changed = [np.array(leaf) for leaf in leaves]
    place = (slice(None), *[1] * max(leaves[0].ndim - 2, 1))
    changed[0][place] = 0
    fall = whole - scores_of(case, rebuilt(case, changed))
    near(keras.tree.flatten(got.values)[0][place].reshape(3, -1)[:, 0], fall, name)


def check_rise(name: str, case: Case) -> None:
    """The sum over masks, written out with plain calls."""
    method = RISE(masks=12, grid=2)
    got = method.explain(case.model, case.x, case.target)
    drawn = method._drawn(case.x, layouts(case.x, None))
    leaves, masks = [], [grow(np, *one.parts(np.arange(12))) for one in drawn]
    for leaf, mask in zip(keras.tree.flatten(case.x), masks, strict=True):
        spread = mask if mask.ndim == leaf.ndim else mask[..., None]
        leaves.append((leaf[:, None] * spread).astype(leaf.dtype).reshape(-1, *leaf.shape[1:]))
    scores = scores_of(case, rebuilt(case, leaves)).reshape(3, 12)
    for values, mask in zip(keras.tree.flatten(got.values), masks, strict=True):
        want = np.tensordot(scores, mask, 1) / 6
        assert values.shape == (*want.shape, 1) or values.shape == want.shape
        near(values.reshape(want.shape), want, name)


def check_lime(name: str, case: Case) -> None:
    """Coefficients of the normal equations for scores of plain calls."""
    labels, players = halves(case)
    method = LIME(samples=16, segments=labels)
    got = method.explain(case.model, case.x, case.target)
    same_structure(got, case)
    kept = method.coalitions(players)
    scores = scores_of(case, without(case, labels, kept)).reshape(3, 16)
    weights = np.exp(-((1 - np.sqrt(kept.sum(1) / players)) ** 2) / 2 / 0.25**2)
    want = np.stack([ridge(kept, own, weights, 1.0)[0] for own in scores])
    near(got.details["features"], want, name)
    assert (got.details["fidelity"] <= 1 + 1e-6).all()
    LIME(samples=8).explain(case.model, case.x, case.target)


def check_tabular_lime(name: str, case: Case) -> None:
    """One table is explained, anything else is refused."""
    if name != "vectors":
        with pytest.raises(ValueError, match="x must be one table of floats with the 4 columns"):
            TabularLIME(np.eye(4), samples=8).explain(case.model, case.x, case.target)
        return
    method = TabularLIME(case.x, samples=30)
    got = method.explain(case.model, case.x, case.target)
    rows = np.concatenate([method.rows(sample) for sample in case.x])
    scores = scores_of(case, rows).reshape(3, 30)
    for row, sample in enumerate(case.x):
        near(
            got.values[row],
            ridge(*method.regressors(sample)[:1], scores[row], method.regressors(sample)[1], 1.0)[0],
            name,
        )


def check_shapley(name: str, case: Case, method) -> None:
    """Efficiency, and the mean over both orders of each feature against the rest for scores of plain calls."""
    labels, players = halves(case)
    got = method(segments=labels).explain(case.model, case.x, case.target)
    same_structure(got, case)
    change = got.scores - got.baseline_scores
    np.testing.assert_allclose(got.details["features"].sum(1), change, atol=1e-5)
    np.testing.assert_allclose(got.convergence_delta, 0, atol=1e-5)
    ends = np.stack([np.zeros(players, bool), np.ones(players, bool)])
    empty, full = scores_of(case, without(case, labels, ends)).reshape(3, 2).T
    near(change, full - empty, name)
    if players == 2:
        alone = scores_of(case, without(case, labels, np.eye(2, dtype=bool))).reshape(3, 2)
        want = (alone - empty[:, None] + full[:, None] - alone[:, ::-1]) / 2
        near(got.details["features"], want, name)


CHECKS = {
    "KernelSHAP": lambda name, case: check_shapley(name, case, KernelSHAP),
    "LIME": check_lime,
    "Occlusion": check_occlusion,
    "RISE": check_rise,
    "ShapleyValues": lambda name, case: check_shapley(name, case, ShapleyValues),
    "TabularLIME": check_tabular_lime,
}
