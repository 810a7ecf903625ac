"""Expected gradients against closed forms, the draws made by hand and Captum."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import torch_twin

from keras_arch.explain import IntegratedGradients
from keras_arch.explain.gradient.expected_gradients import ExpectedGradients, GradientSHAP
from keras_arch.explain.gradient.references import References
from keras_arch.explain.gradient.saliency import Saliency

pytestmark = pytest.mark.backend

L = keras.layers


def draws(method, rows):
    """Row, place and noise of each step, as the class documents them."""
    picks = np.random.default_rng(method.seed).integers(0, len(rows), method.samples)
    places = np.random.default_rng((method.seed, 0)).random(method.samples)
    noise = [
        np.random.default_rng((method.seed, 1, step)).standard_normal(rows.shape[1:]) for step in range(method.samples)
    ]
    return rows[picks], places, noise


def test_a_linear_model_gives_weight_times_distance_from_the_mean_row(rng):
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, bias_initializer="ones")])
    x, rows = rng.normal(size=(3, 4)).astype("float32"), rng.normal(size=(6, 4)).astype("float32")
    method = ExpectedGradients(rows, samples=25)
    got = method.explain(model, x, [0, 1, 2])
    picked = draws(method, rows)[0]
    kernel = model.get_weights()[0].T
    np.testing.assert_allclose(got.values, (x - picked.mean(0)) * kernel, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got.convergence_delta, 0, atol=1e-5)
    want = ops.convert_to_numpy(model(picked)).mean(0)
    np.testing.assert_allclose(got.baseline_scores, want, rtol=1e-4)
    np.testing.assert_allclose(got.convergence_delta, got.values.sum(1) - got.scores + got.baseline_scores, atol=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_values_are_the_mean_over_the_draws(noise):
    model, x, rows = torch_twin.keras_net(), torch_twin.images(3), torch_twin.images(6)[3:]
    method = ExpectedGradients(rows, samples=6, noise=noise, seed=4)
    want = np.zeros(x.shape)
    for row, place, epsilon in zip(*draws(method, rows), strict=True):
        noisy = x + noise * epsilon
        gradient = Saliency(absolute=False).explain(model, row + place * (noisy - row), [2, 0, 1]).values
        want += (noisy - row) * gradient / 6
    got = method.explain(model, x, [2, 0, 1])
    np.testing.assert_allclose(got.values, want, atol=1e-5 * np.abs(want).max())


def test_gradient_shap_is_another_name():
    assert GradientSHAP(np.ones((1, 2)), noise=0.1) == ExpectedGradients(np.ones((1, 2)), noise=0.1)


def test_many_draws_come_close_to_the_mean_over_all_baselines():
    model, x, rows = torch_twin.keras_net("tanh"), torch_twin.images(2), torch_twin.images(4)[2:]
    exact = IntegratedGradients(baseline=References(rows)).explain(model, x, 1).values
    got = ExpectedGradients(rows, samples=500).explain(model, x, 1)
    np.testing.assert_allclose(got.values, exact, atol=0.2 * np.abs(exact).max())
    assert np.abs(got.convergence_delta).max() < 0.25 * np.abs(got.scores - got.baseline_scores).max()


def test_answers_do_not_depend_on_batch_mates_or_chunks_but_on_the_seed():
    model, x, rows = torch_twin.keras_net(), torch_twin.images(5), torch_twin.images(8)[5:]
    method, classes = ExpectedGradients(rows, samples=4, noise=0.1), [0, 1, 2, 0, 1]
    whole = method.explain(model, x, classes)
    scale = np.abs(whole.values).max()
    np.testing.assert_allclose(method.explain(model, x, classes, batch_size=2).values, whole.values, atol=1e-6 * scale)
    alone = method.explain(model, x[3:4], 0)
    np.testing.assert_allclose(alone.values[0], whole.values[3], atol=1e-6 * scale)
    np.testing.assert_allclose(alone.baseline_scores[0], whole.baseline_scores[3], rtol=1e-5)
    other = ExpectedGradients(rows, samples=4, noise=0.1, seed=1).explain(model, x, classes).values
    assert np.abs(other - whole.values).max() > 1e-3 * scale


def test_the_background_of_token_ids_is_token_ids(rng):
    inputs = keras.Input((5,), dtype="int32")
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling1D()(L.Embedding(9, 3, name="table")(inputs))))
    tokens, rows = rng.integers(0, 9, (2, 5)).astype("int32"), rng.integers(0, 9, (4, 5)).astype("int32")
    method = ExpectedGradients(rows, samples=8)
    got = method.explain(model, tokens, 1)
    table, kernel = model.get_weights()[0], model.get_weights()[1][:, 1]
    want = (table[tokens] - table[draws(method, rows)[0]].mean(0)) * kernel / 5
    np.testing.assert_allclose(got.values, want, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(got.convergence_delta, 0, atol=1e-6)
    assert got.layer == "table"


def test_weights_functions_and_several_outputs_as_targets(rng):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"a": L.Dense(3, name="a")(inputs), "b": L.Dense(1, name="b")(inputs)})
    x, rows = rng.normal(size=(2, 4)).astype("float32"), rng.normal(size=(3, 4)).astype("float32")
    weights = rng.normal(size=(2, 3)).astype("float32")
    for target in ({"a": [0, 2], "b": None}, {"a": weights}, lambda outputs: outputs["a"][:, 0] * outputs["b"][:, 0]):
        got = ExpectedGradients(rows, samples=40).explain(model, x, target)
        change = np.abs(got.scores - got.baseline_scores).max()
        np.testing.assert_allclose(got.convergence_delta, 0, atol=0.3 * change if callable(target) else 1e-5)


@pytest.mark.parametrize(
    ("settings", "match"),
    [({"samples": 0}, "samples must be"), ({"noise": -1.0}, "noise must be"), ({"seed": -1}, "seed must be")],
)
def test_bad_settings_are_named(settings, match):
    with pytest.raises(ValueError, match=match):
        ExpectedGradients(np.ones((1, 2)), **settings)


def test_a_background_that_does_not_fit_is_named():
    model, x = torch_twin.keras_net(), torch_twin.images(2)
    with pytest.raises(
        ValueError, match=r"background must hold one row or more, each of one sample's shape \(9, 7, 2\)"
    ):
        ExpectedGradients(np.ones((3, 4, 4, 2))).explain(model, x, 1)


@pytest.mark.oracle
def test_values_equal_captum_for_the_same_draws(monkeypatch):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    shap = pytest.importorskip("captum.attr._core.gradient_shap", reason="needs the extra keras-arch[oracles]")
    model, x, classes = torch_twin.keras_net(), torch_twin.images(), np.array([2, 0, 1, 1])
    twin, rows = torch_twin.torch_net(model), torch_twin.images(7)[4:]
    method = ExpectedGradients(rows, samples=5, noise=0.3, seed=2)
    want = np.zeros(x.shape)
    for row, place, epsilon in zip(*draws(method, rows), strict=True):
        monkeypatch.setattr(np.random, "uniform", lambda low, high, size, place=place: np.full(size, place))
        noisy = torch_twin.to_torch(x + 0.3 * epsilon)
        start = torch_twin.to_torch(np.broadcast_to(row, x.shape))
        one = shap.InputBaselineXGradient(twin).attribute(noisy, start, target=torch.tensor(classes))
        want += torch_twin.from_torch(one) / 5
    got = method.explain(model, x, classes).values
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()
