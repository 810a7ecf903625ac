"""Kernel SHAP against enumeration, shap and Captum."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.games import enumerated, net

from keras_arch.explain.perturbation.segments import Patches, Superpixels
from keras_arch.explain.shapley.kernel_shap import KernelSHAP
from keras_arch.explain.shapley.shapley_values import ShapleyValues

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("background", [False, True])
def test_with_all_coalitions_values_equal_enumeration(background, rng):
    model, x = net((4, 4, 1)), rng.normal(size=(2, 4, 4, 1)).astype("float32")
    rows = rng.normal(size=(3, 4, 4, 1)).astype("float32") if background else np.zeros((1, 4, 4, 1), "float32")
    labels = Patches((2, 1))(x[0])[..., None]
    got = KernelSHAP(256, Patches((2, 1)), background=rows if background else None).explain(model, x, target=1)
    for row in range(2):
        want = np.array(enumerated(model, x[row], labels, rows, 1))
        np.testing.assert_allclose(got.details["features"][row], want, atol=1e-6)
        np.testing.assert_allclose(got.values[row], want[labels], atol=1e-6)


@pytest.mark.parametrize("samples", [4, 20, 300])
def test_efficiency_holds_however_few_samples(samples, rng):
    model, x = net((30,)), rng.normal(size=(3, 30)).astype("float32")
    rows = rng.normal(size=(4, 30)).astype("float32")
    got = KernelSHAP(samples, background=rows).explain(model, x, [0, 1, 2])
    mean = ops.convert_to_numpy(model(rows)).mean(0)
    np.testing.assert_allclose(got.values.sum(1), got.scores - mean, atol=1e-5)
    np.testing.assert_allclose(got.convergence_delta, 0, atol=1e-6)
    np.testing.assert_allclose(got.baseline_scores, mean, atol=1e-6)


def test_more_samples_come_nearer(rng):
    model, x = net((14,)), rng.normal(size=(2, 14)).astype("float32")
    exact = ShapleyValues().explain(model, x, 0).values
    errors = [np.abs(KernelSHAP(samples).explain(model, x, 0).values - exact).max() for samples in (40, 4000, 2**14)]
    assert errors[0] > 3 * errors[1]
    assert errors[1] < 0.02
    assert errors[2] < 1e-6


def test_a_linear_model_is_met_by_few_samples(rng):
    model = keras.Sequential([keras.Input((25,)), keras.layers.Dense(2)])
    x = rng.normal(size=(2, 25)).astype("float32")
    got = KernelSHAP(samples=120).explain(model, x, 1)
    np.testing.assert_allclose(got.values, x * np.array(model.get_weights()[0])[:, 1], atol=1e-5)


def test_token_ids_are_replaced_by_an_id(rng):
    layers = [keras.layers.Embedding(9, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((5,), dtype="int32"), *layers])
    x = rng.integers(1, 9, (2, 5)).astype("int32")
    got = KernelSHAP(baseline=0).explain(model, x, 1)
    table, dense = np.array(model.get_weights()[0]), np.array(model.get_weights()[1])
    want = np.einsum("nte,te->nt", table[x] - table[0], dense[:, 1].reshape(5, 3))
    np.testing.assert_allclose(got.values, want, atol=1e-5)


def test_one_or_two_features_are_exact(rng):
    model, x = net((4,)), rng.normal(size=(2, 4)).astype("float32")
    for labels in (np.zeros(4, int), np.array([0, 1, 1, 0])):
        want = ShapleyValues(labels).explain(model, x, 0).values
        np.testing.assert_allclose(KernelSHAP(4, labels).explain(model, x, 0).values, want, atol=1e-6)


def test_an_answer_depends_on_the_seed_and_not_on_batch_mates_or_chunks(rng):
    model = net((9, 9, 1))
    x = np.cumsum(rng.normal(size=(4, 9, 9, 1)), axis=1).astype("float32")
    method = KernelSHAP(samples=24, segments=Superpixels(9))
    whole = method.explain(model, x, [0, 1, 2, 0])
    np.testing.assert_allclose(method.explain(model, x, [0, 1, 2, 0], batch_size=5).values, whole.values, atol=1e-5)
    for row in range(4):
        alone = method.explain(model, x[row : row + 1], [[0, 1, 2, 0][row]]).values[0]
        np.testing.assert_allclose(alone, whole.values[row], atol=1e-5)
    other = KernelSHAP(samples=24, segments=Superpixels(9), seed=1).explain(model, x, [0, 1, 2, 0])
    assert np.abs(other.values - whole.values).max() > 1e-4


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"samples": 3}, "samples must be an integer >= 4"),
        ({"seed": -1}, "seed must be an integer >= 0"),
        ({"data_format": "x"}, "data_format must be one of"),
        ({"background": np.zeros((2, 5))}, "background must hold at least one sample"),
        ({"background": np.full((2, 4), np.inf)}, "background must be finite"),
        ({"segments": np.zeros(5, int)}, "segments must be whole numbers shaped like the positions"),
    ],
)
def test_what_does_not_fit_is_named(settings, match):
    with pytest.raises(ValueError, match=match):
        KernelSHAP(**settings).explain(net((4,)), np.zeros((1, 4)), 0)


@pytest.mark.oracle
def test_with_all_coalitions_values_equal_shap(rng):
    shap = pytest.importorskip("shap", reason="needs the extra keras-arch[oracles]")
    model, x = net((6,)), rng.normal(size=(2, 6)).astype("float32")
    rows = rng.normal(size=(5, 6)).astype("float32")
    score = lambda t: ops.convert_to_numpy(model(t.astype("float32")))[:, 1].astype("float64")  # noqa: E731
    want = shap.KernelExplainer(score, rows).shap_values(x, nsamples=64, l1_reg=False, silent=True)
    got = KernelSHAP(64, background=rows).explain(model, x, target=1).values
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.oracle
def test_values_come_near_captum_which_draws_coalitions(rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    model, x = net((5,)), rng.normal(size=(1, 5)).astype("float32")
    first, bias, second, shift = (torch.tensor(np.array(weight)) for weight in model.get_weights())
    torch.manual_seed(0)
    theirs = attr.KernelShap(lambda t: torch.tanh(t @ first + bias) @ second + shift)
    want = theirs.attribute(torch.tensor(x), baselines=0.25, target=1, n_samples=3000).numpy()
    got = KernelSHAP(baseline=0.25).explain(model, x, target=1).values
    np.testing.assert_allclose(got, want, atol=0.03 * np.abs(want).max())
