"""Shapley values against enumeration, axioms, closed forms and Captum."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.games import Closed, enumerated, net

from keras_arch.explain.perturbation.segments import Patches, Superpixels
from keras_arch.explain.shapley.shapley_values import ShapleyValues

pytestmark = pytest.mark.backend


def test_values_equal_enumeration(rng):
    model, x = net((4, 4, 2)), rng.normal(size=(2, 4, 4, 2)).astype("float32")
    labels = Patches(2)(x[0])[..., None]
    got = ShapleyValues(Patches(2), baseline=0.5).explain(model, x, target=1)
    for row in range(2):
        want = np.array(enumerated(model, x[row], labels, np.full((1, 4, 4, 2), 0.5, "float32"), 1))
        np.testing.assert_allclose(got.details["features"][row], want, atol=1e-6)
        np.testing.assert_allclose(got.values[row], np.broadcast_to(want[labels], (4, 4, 2)), atol=1e-6)


def test_a_background_is_averaged_over(rng):
    model, x = net((5,)), rng.normal(size=(2, 5)).astype("float32")
    rows = rng.normal(size=(7, 5)).astype("float32")
    got = ShapleyValues(background=rows).explain(model, x, target=2)
    for row in range(2):
        want = enumerated(model, x[row], np.arange(5), rows, 2)
        np.testing.assert_allclose(got.values[row], want, atol=1e-6)
    mean = ops.convert_to_numpy(model(rows))[:, 2].mean()
    np.testing.assert_allclose(got.baseline_scores, mean, atol=1e-6)


@pytest.mark.parametrize("permutations", [None, 3])
def test_efficiency_shares_add_up_to_the_change_of_the_score(permutations, rng):
    model, x = net((7,)), rng.normal(size=(3, 7)).astype("float32")
    got = ShapleyValues(permutations=permutations, baseline=x[::-1]).explain(model, x, [0, 1, 2])
    np.testing.assert_allclose(got.values.sum(1), got.scores - got.baseline_scores, atol=1e-5)
    np.testing.assert_allclose(got.convergence_delta, 0, atol=1e-6)
    swapped = ops.convert_to_numpy(model(x[::-1]))[[0, 1, 2], [0, 1, 2]]
    np.testing.assert_allclose(got.baseline_scores, swapped, atol=1e-6)


def test_symmetry_equals_get_the_same_and_dummies_nothing():
    model = Closed(lambda t: (t[:, 0] + t[:, 1]) ** 3 * t[:, 2] + 0.0 * t[:, 3])
    got = ShapleyValues().explain(model, np.array([[2.0, 2.0, 3.0, 5.0]], "float32")).values[0]
    assert got[0] == pytest.approx(got[1], rel=1e-6)
    assert got[3] == pytest.approx(0, abs=1e-5)
    assert got.sum() == pytest.approx(4.0**3 * 3, rel=1e-6)


def test_linearity_values_of_a_sum_are_the_sum_of_values(rng):
    one, other, x = net((5,), seed=1), net((5,), seed=2), rng.normal(size=(2, 5)).astype("float32")
    both = Closed(lambda t: (2.0 * one(t) - 3.0 * other(t))[:, 0])
    parts = [ShapleyValues().explain(model, x, 0).values for model in (one, other)]
    np.testing.assert_allclose(ShapleyValues().explain(both, x).values, 2 * parts[0] - 3 * parts[1], atol=1e-5)


def test_a_product_is_shared_equally_and_a_product_plus_a_term_by_hand():
    x = np.array([[2.0, 3.0, 5.0]], "float32")
    product = ShapleyValues().explain(Closed(lambda t: ops.prod(t, axis=-1)), x)
    np.testing.assert_allclose(product.values, [[10.0] * 3], rtol=1e-6)
    mixed = ShapleyValues().explain(Closed(lambda t: t[:, 0] * t[:, 1] + 4.0 * t[:, 2]), x)
    np.testing.assert_allclose(mixed.values, [[3.0, 3.0, 20.0]], rtol=1e-6)
    shifted = ShapleyValues(baseline=np.array([1.0, 1.0, 0.0])).explain(Closed(lambda t: t[:, 0] * t[:, 1]), x)
    np.testing.assert_allclose(shifted.values, [[2.0, 3.0, 0.0]], atol=1e-6)  # (x - b) (y + b') / 2


def test_one_feature_takes_all():
    got = ShapleyValues(segments=np.zeros(3, int)).explain(net((3,)), np.ones((2, 3)), 0)
    np.testing.assert_allclose(got.values, np.repeat((got.scores - got.baseline_scores)[:, None], 3, 1), atol=1e-6)
    sampled = ShapleyValues(segments=np.zeros(3, int), permutations=2).explain(net((3,)), np.ones((2, 3)), 0)
    np.testing.assert_allclose(sampled.values, got.values, atol=1e-6)


def test_permutations_come_near_and_are_exact_for_two_features(rng):
    model, x = net((6,)), rng.normal(size=(2, 6)).astype("float32")
    exact = ShapleyValues().explain(model, x, 0).values
    errors = [np.abs(ShapleyValues(permutations=k).explain(model, x, 0).values - exact).max() for k in (2, 400)]
    assert errors[1] < min(0.02, errors[0] / 3)
    two = Patches(3)
    np.testing.assert_allclose(
        ShapleyValues(two, permutations=2).explain(model, x, 0).values,
        ShapleyValues(two).explain(model, x, 0).values,
        atol=1e-6,
    )


def test_images_with_different_numbers_of_superpixels_are_explained_as_if_alone(rng):
    model = net((9, 9, 1))
    x = np.cumsum(rng.normal(size=(5, 9, 9, 1)), axis=1).astype("float32")
    for method in (ShapleyValues(Superpixels(6)), ShapleyValues(Superpixels(6), permutations=3)):
        got = method.explain(model, x, [0, 1, 2, 0, 1])
        assert len(set(np.isfinite(got.details["features"]).sum(1).tolist())) > 1
        for row in range(5):
            alone = method.explain(model, x[row : row + 1], [[0, 1, 2, 0, 1][row]], batch_size=3)
            np.testing.assert_allclose(got.values[row], alone.values[0], atol=1e-6)


def test_too_many_features_are_refused_with_a_way_out():
    match = r"segments must make at most 16 features .* received 20, 2\^20 coalitions a sample. Pass fewer"
    with pytest.raises(ValueError, match=match):
        ShapleyValues().explain(net((20,)), np.zeros((1, 20)), 0)
    assert ShapleyValues(permutations=2).explain(net((20,)), np.ones((1, 20)), 0).values.shape == (1, 20)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"permutations": 0}, "permutations must be an integer >= 1"),
        ({"seed": -1}, "seed must be an integer >= 0"),
        ({"data_format": "x"}, "data_format must be one of"),
        ({"background": np.zeros((0, 4))}, "background must hold at least one sample"),
        ({"background": np.zeros((2, 4)), "baseline": 1.0}, "background must be None where a baseline is given"),
        ({"segments": np.zeros(5, int)}, "segments must be whole numbers shaped like the positions"),
    ],
)
def test_what_does_not_fit_is_named(settings, match):
    with pytest.raises(ValueError, match=match):
        ShapleyValues(**settings).explain(net((4,)), np.zeros((1, 4)), 0)


@pytest.mark.oracle
def test_values_equal_captum_over_all_permutations(rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    model, x = net((5,)), rng.normal(size=(2, 5)).astype("float32")
    first, bias, second, shift = (torch.tensor(np.array(weight)) for weight in model.get_weights())
    theirs = attr.ShapleyValues(lambda t: torch.tanh(t @ first + bias) @ second + shift)
    mask = torch.tensor([[0, 0, 1, 2, 1]])
    want = theirs.attribute(torch.tensor(x), baselines=0.25, target=1, feature_mask=mask).numpy()
    got = ShapleyValues(np.array([0, 0, 1, 2, 1]), baseline=0.25).explain(model, x, target=1).values
    np.testing.assert_allclose(got, want, atol=1e-6 * np.abs(want).max() + 1e-7)


def test_the_method_comes_back_from_its_config():
    method = ShapleyValues(Patches(4), background=np.ones((2, 3), "float32"), permutations=5)
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(method))
    assert back == method
