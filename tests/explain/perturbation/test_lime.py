"""LIME against normal equations, linear models and the package lime."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.perturbation import blend
from oracles.surrogate import fidelity, ridge

from keras_arch.explain.perturbation.lime import LIME
from keras_arch.explain.perturbation.segments import Patches, Positions, Superpixels

pytestmark = pytest.mark.backend
L = keras.layers


def net(shape):
    return keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(6, "tanh"), L.Dense(3)])


def outcomes(model, sample, labels, coalitions, index, away=0.0):
    """Scores of a sample without some features, put together position by position."""
    start = np.full(sample.shape, away, sample.dtype)
    seen = [blend(sample, labels, set(np.flatnonzero(coalition)), start) for coalition in coalitions]
    return ops.convert_to_numpy(model(np.stack(seen)))[:, index]


@pytest.mark.parametrize(("distance", "width"), [("cosine", None), ("cosine", 0.6), ("euclidean", None)])
def test_coefficients_solve_the_normal_equations(distance, width, rng):
    model, x = net((4, 6, 2)), rng.normal(size=(2, 4, 6, 2)).astype("float32")
    method = LIME(60, Patches(2), 0.5, width, distance, ridge=0.7, seed=3)
    got = method.explain(model, x, target=2)
    coalitions, labels = method.coalitions(6), Patches(2)(x[0])[..., None]
    assert coalitions[0].all()
    sizes = coalitions.sum(1)
    away = 1 - np.sqrt(sizes / 6) if distance == "cosine" else np.sqrt(6 - sizes)
    weights = np.exp(-(away**2) / 2 / (width or (0.25 if distance == "cosine" else 0.75 * 6**0.5)) ** 2)
    for row in range(2):
        scores = outcomes(model, x[row], labels, coalitions, 2, 0.5)
        want, intercept = ridge(coalitions, scores, weights, 0.7)
        np.testing.assert_allclose(got.details["features"][row], want, atol=1e-6)
        np.testing.assert_allclose(got.values[row], np.broadcast_to(want[labels], (4, 6, 2)), atol=1e-6)
        assert got.details["intercept"][row] == pytest.approx(intercept, abs=1e-6)
        assert got.details["local_prediction"][row] == pytest.approx(intercept + want.sum(), abs=1e-6)
        r2 = fidelity(coalitions @ want + intercept, scores, weights)
        assert got.details["fidelity"][row] == pytest.approx(r2, abs=1e-5)


def test_a_linear_model_is_met_exactly_without_a_penalty(rng):
    model = keras.Sequential([keras.Input((5,)), L.Dense(2, bias_initializer="ones")])
    x, start = rng.normal(size=(3, 5)).astype("float32"), rng.normal(size=(3, 5)).astype("float32")
    got = LIME(samples=80, baseline=start, ridge=0.0).explain(model, x, target=1)
    weights = np.array(model.layers[0].get_weights()[0])[:, 1]
    np.testing.assert_allclose(got.values, (x - start) * weights, atol=1e-5)
    np.testing.assert_allclose(got.details["fidelity"], 1, atol=1e-6)
    np.testing.assert_allclose(got.details["local_prediction"], got.scores, atol=1e-5)


def test_a_parity_of_features_has_no_linear_fidelity():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, ops.prod(2.0 * inputs - 1.0, axis=-1, keepdims=True))
    got = LIME(samples=500, distance="euclidean", kernel_width=50.0, ridge=0.0).explain(model, np.ones((1, 6)))
    assert got.details["fidelity"][0] < 0.1


def test_token_ids_are_features_of_their_own(rng):
    model = keras.Sequential([keras.Input((6,), dtype="int32"), L.Embedding(9, 4), L.Flatten(), L.Dense(2)])
    x = rng.integers(1, 9, (3, 6)).astype("int32")
    got = LIME(samples=200, ridge=0.0, baseline=0).explain(model, x, target=1)
    table, dense = (np.array(weight) for weight in (model.get_weights()[0], model.get_weights()[1]))
    parts = np.einsum("nte,te->nt", table[x] - table[0], dense[:, 1].reshape(6, 4))
    np.testing.assert_allclose(got.values, parts, atol=1e-5)


def test_images_with_different_numbers_of_superpixels_are_explained_as_if_alone(rng):
    model = net((12, 12, 1))
    x = np.cumsum(rng.normal(size=(4, 12, 12, 1)), axis=1).astype("float32")
    method = LIME(samples=40, segments=Superpixels(9))
    got = method.explain(model, x, [0, 1, 2, 0])
    counts = np.isfinite(got.details["features"]).sum(1)
    assert len(set(counts.tolist())) > 1
    for row in range(4):
        alone = method.explain(model, x[row : row + 1], [[0, 1, 2, 0][row]])
        np.testing.assert_allclose(got.values[row], alone.values[0], atol=1e-6)
        assert got.details["segments"].shape == (4, 12, 12, 1)
        assert got.details["segments"][row].max() + 1 == counts[row]


def test_features_are_numbered_across_inputs(rng):
    a, b = keras.Input((4, 2)), keras.Input((3,))
    model = keras.Model([a, b], L.Dense(2)(L.Concatenate()([L.Flatten()(a), b])))
    x = [rng.normal(size=(2, 4, 2)).astype("float32"), rng.normal(size=(2, 3)).astype("float32")]
    got = LIME(samples=200, segments=Positions(), ridge=0.0).explain(model, x, 0)
    weights = np.array(model.get_weights()[0])[:, 0]
    first = (x[0] * weights[:8].reshape(4, 2)).sum(-1)
    np.testing.assert_allclose(got.details["features"], np.concatenate([first, x[1] * weights[8:]], 1), atol=1e-5)
    np.testing.assert_allclose(got.values[1], x[1] * weights[8:], atol=1e-5)


def test_an_answer_depends_on_the_seed_and_not_on_chunks(rng):
    model, x = net((4, 4, 1)), rng.normal(size=(3, 4, 4, 1)).astype("float32")
    method = LIME(samples=30, segments=Patches(2))
    whole = method.explain(model, x, 1)
    np.testing.assert_allclose(method.explain(model, x, 1, batch_size=5).values, whole.values, atol=1e-6)
    other = LIME(samples=30, segments=Patches(2), seed=1).explain(model, x, 1)
    assert np.abs(other.values - whole.values).max() > 1e-3
    picked = whole[1]
    np.testing.assert_array_equal(picked.details["fidelity"], whole.details["fidelity"][1:2])


def test_details_come_back_from_a_file(rng, tmp_path):
    model, x = net((4, 4, 1)), rng.normal(size=(2, 4, 4, 1)).astype("float32")
    got = LIME(samples=30, segments=Patches(2)).explain(model, x, 1)
    got.save(tmp_path / "lime.npz")
    back = type(got).load(tmp_path / "lime.npz")
    assert back.method == got.method
    np.testing.assert_array_equal(back.details["segments"], got.details["segments"])
    np.testing.assert_array_equal(back.details["intercept"], got.details["intercept"])


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"samples": 1}, "samples must be an integer >= 2"),
        ({"distance": "l2"}, "distance must be one of 'cosine', 'euclidean'"),
        ({"kernel_width": 0.0}, "kernel_width must be a number in"),
        ({"ridge": -1.0}, "ridge must be a number in"),
        ({"seed": 0.5}, "seed must be an integer >= 0"),
        ({"data_format": "x"}, "data_format must be one of"),
        ({"segments": np.zeros((2, 2), int)}, "segments must be whole numbers shaped like the positions"),
        ({"baseline": np.zeros(3)}, "baseline must be a number, or have the shape"),
    ],
)
def test_what_does_not_fit_is_named(settings, match):
    with pytest.raises(ValueError, match=match):
        LIME(**{"samples": 4, **settings}).explain(net((4, 4, 1)), np.zeros((1, 4, 4, 1)))


@pytest.mark.oracle
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_coefficients_equal_the_package_lime_on_the_same_coalitions(distance, rng):
    base = pytest.importorskip("lime.lime_base", reason="lime is not installed")
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra keras-arch[demo]")
    model, x = net((4, 6, 1)), rng.normal(size=(1, 4, 6, 1)).astype("float32")
    method = LIME(100, Patches(2), distance=distance)
    got = method.explain(model, x, target=1)
    coalitions, labels = method.coalitions(6), Patches(2)(x[0])[..., None]
    scores = outcomes(model, x[0], labels, coalitions, 1)[:, None]
    data = coalitions.astype(float)
    away = metrics.pairwise_distances(data, data[:1], metric=distance).ravel()
    width = method.width(6)
    explainer = base.LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / width**2)), random_state=0)
    intercept, pairs, r2, prediction = explainer.explain_instance_with_data(data, scores, away, 0, 6, "none")
    np.testing.assert_allclose(got.details["features"][0], [dict(pairs)[one] for one in range(6)], atol=1e-6)
    assert got.details["intercept"][0] == pytest.approx(intercept, abs=1e-6)
    assert got.details["fidelity"][0] == pytest.approx(r2, abs=1e-6)
    assert got.details["local_prediction"][0] == pytest.approx(prediction[0], abs=1e-6)
