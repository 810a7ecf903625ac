"""SmoothGrad against closed forms, noisy copies made by hand and Captum."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import torch_twin

from keras_arch.explain import Attribution, GradCAM, IntegratedGradients
from keras_arch.explain.gradient.guided_backprop import GuidedBackprop
from keras_arch.explain.gradient.input_x_gradient import InputXGradient
from keras_arch.explain.gradient.noise import NoiseSteps
from keras_arch.explain.gradient.saliency import Saliency
from keras_arch.explain.gradient.smooth_grad import SmoothGrad

pytestmark = pytest.mark.backend

L = keras.layers
SIGNED = Saliency(absolute=False)


def quadratic(a):
    return keras.Sequential(
        [keras.Input((len(a),)), L.Lambda(lambda t: ops.sum(t * (t @ ops.convert_to_tensor(a)), axis=-1))]
    )


def copies(x, method):
    """The noisy copies of a batch, from the documented draws."""
    scale = np.ptp(x, axis=tuple(range(1, x.ndim)), keepdims=True) if method.relative else 1.0
    for noise, _ in NoiseSteps(method.seed, method.samples, x[0]):
        yield x + method.noise * scale * noise


def test_the_gradient_of_a_quadratic_is_that_at_the_mean_copy(rng):
    a = rng.normal(size=(4, 4)).astype("float32")
    a = a + a.T
    x = rng.normal(size=(3, 4)).astype("float32")
    method = SmoothGrad(samples=400, noise=0.2)
    got = method.explain(quadratic(a), x)
    mean = np.mean(list(copies(x, method)), axis=0)
    np.testing.assert_allclose(got.values, 2 * mean @ a, rtol=1e-4, atol=1e-4)
    spread = 0.2 * np.ptp(x, axis=1, keepdims=True) * np.linalg.norm(a, axis=0) * 2
    assert (abs(got.values - 2 * x @ a) < 4 * spread / np.sqrt(400)).all()
    np.testing.assert_allclose(got.scores, (x * (x @ a)).sum(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("inner", [SIGNED, Saliency(), InputXGradient(), GuidedBackprop()])
def test_the_compiled_sum_is_the_mean_over_noisy_copies(inner):
    model, x, classes = torch_twin.keras_net(), torch_twin.images(3), [2, 0, 1]
    method = SmoothGrad(inner, samples=5, noise=0.3, seed=7)
    want = np.mean([inner.explain(model, copy, classes).values for copy in copies(x, method)], axis=0)
    got = method.explain(model, x, classes)
    np.testing.assert_allclose(got.values, want, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("inner", [IntegratedGradients(steps=3), GradCAM(layer="features")])
def test_other_methods_explain_one_copy_after_the_other(inner):
    model, x, classes = torch_twin.keras_net(), torch_twin.images(3), np.array([2, 0, 1])
    method = SmoothGrad(inner, samples=4, noise=0.5, relative=False)
    want = np.mean([inner.explain(model, copy, classes).values for copy in copies(x, method)], axis=0)
    got = method.explain(model, x, classes)
    np.testing.assert_allclose(got.values, want, atol=1e-5 * np.abs(want).max())
    assert got.layer == ("features" if isinstance(inner, GradCAM) else None)
    np.testing.assert_array_equal(got.inputs, x)


def test_without_noise_it_is_the_method_itself():
    model, x = torch_twin.keras_net(), torch_twin.images(3)
    want = Saliency().explain(model, x, 1).values
    got = SmoothGrad(Saliency(), samples=3, noise=0.0).explain(model, x, 1).values
    np.testing.assert_allclose(got, want, atol=1e-6 * want.max())


def test_the_predicted_class_is_that_of_the_sample_without_noise():
    model, x = torch_twin.keras_net(), torch_twin.images(4)
    for inner in (SIGNED, IntegratedGradients(steps=2)):
        method = SmoothGrad(inner, samples=3, noise=2.0)
        free, predicted = method.explain(model, x), ops.convert_to_numpy(model(x)).argmax(1)
        np.testing.assert_array_equal(free.target, predicted)
        np.testing.assert_array_equal(free.values, method.explain(model, x, predicted).values)


@pytest.mark.parametrize("inner", [SIGNED, GradCAM(layer="features")])
def test_answers_do_not_depend_on_batch_mates_or_chunks_but_on_the_seed(inner):
    model, x, classes = torch_twin.keras_net(), torch_twin.images(5), [0, 1, 2, 0, 1]
    method = SmoothGrad(inner, samples=3)
    whole = method.explain(model, x, classes).values
    scale = np.abs(whole).max()
    np.testing.assert_allclose(method.explain(model, x, classes, batch_size=2).values, whole, atol=1e-6 * scale)
    np.testing.assert_allclose(method.explain(model, x[3:4], 0).values[0], whole[3], atol=1e-6 * scale)
    other = SmoothGrad(inner, samples=3, seed=1).explain(model, x, classes).values
    assert np.abs(other - whole).max() > 1e-3 * scale


def test_noise_at_a_layer_and_at_an_embedding(rng):
    inputs = keras.Input((4,), dtype="int32")
    embedded = L.Embedding(9, 3, name="table")(inputs)
    square = L.Lambda(lambda t: ops.sum(ops.square(t), axis=(1, 2)))(embedded)
    model, tokens = keras.Model(inputs, square), rng.integers(0, 9, (2, 4)).astype("int32")
    method = SmoothGrad(samples=6)
    got = method.explain(model, tokens)
    rows = ops.convert_to_numpy(model.get_layer("table")(tokens))
    want = 2 * np.mean(list(copies(rows, method)), axis=0)
    np.testing.assert_allclose(got.values, want, rtol=1e-4, atol=1e-6)
    assert got.layer == "table"
    with pytest.raises(ValueError, match=r"x must be floats .* SmoothGrad\(method=Saliency\(\)\)"):
        SmoothGrad(IntegratedGradients()).explain(model, tokens)


def test_several_inputs_get_noise_of_their_own_range():
    left, right = keras.Input((2,)), keras.Input((3,))
    joined = L.Concatenate()([L.Lambda(ops.square)(left), L.Lambda(ops.square)(right)])
    model = keras.Model([left, right], L.Lambda(lambda t: ops.sum(t, -1))(joined))
    x = [np.array([[0.0, 1.0]], "float32"), np.array([[0.0, 50.0, 100.0]], "float32")]
    method = SmoothGrad(samples=3)
    got = method.explain(model, x)
    draws = [noise for noise, _ in NoiseSteps(0, 3, [part[0] for part in x])]
    for position, width in enumerate((1.0, 100.0)):
        want = 2 * (x[position] + 0.15 * width * np.mean([draw[position] for draw in draws], axis=0))
        np.testing.assert_allclose(got.values[position], want, rtol=1e-4, atol=1e-4)


def test_it_is_a_value_that_is_stored_with_its_method(tmp_path):
    method = SmoothGrad(GradCAM(layer="features"), samples=2)
    assert repr(method) == "SmoothGrad(method=GradCAM(layer='features'), samples=2)"
    assert repr(SmoothGrad()) == "SmoothGrad()"
    assert method == SmoothGrad(GradCAM(layer="features"), samples=2) != SmoothGrad(GradCAM(), samples=2)
    attribution = method.explain(torch_twin.keras_net(), torch_twin.images(2), 1)
    attribution.save(tmp_path / "a.npz")
    assert Attribution.load(tmp_path / "a.npz").method == method


def test_long_work_shows_one_progress_bar(capsys):
    model, x = torch_twin.keras_net(), torch_twin.images(2)
    for inner in (SIGNED, IntegratedGradients(steps=2)):
        SmoothGrad(inner, samples=5).explain(model, x, 1)
        assert capsys.readouterr().out == ""
        SmoothGrad(inner, samples=5).explain(model, x, 1, verbose=True)
        assert "5/5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"method": "saliency"}, "method must be a method of explaining; received method='saliency'"),
        ({"samples": 0}, "samples must be an integer >= 1"),
        ({"noise": -0.1}, "noise must be a number"),
        ({"seed": 0.5}, "seed must be an integer"),
    ],
)
def test_bad_settings_are_named(settings, match):
    with pytest.raises(ValueError, match=match):
        SmoothGrad(**settings)


@pytest.mark.oracle
def test_values_equal_captum_for_the_same_noise(monkeypatch):
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    model, x, classes = torch_twin.keras_net(), torch_twin.images(), np.array([2, 0, 1, 1])
    twin, images = torch_twin.torch_net(model), torch_twin.to_torch(x)
    draws = [noise for noise, _ in NoiseSteps(3, 6, x[0])]

    def same_noise(loc, scale):  # Captum asks for all copies of a sample, one after the other
        each = torch_twin.to_torch(np.stack(draws))
        return each.repeat(len(x), 1, 1, 1) * scale

    monkeypatch.setattr(torch, "normal", same_noise)
    for absolute in (True, False):
        tunnel = attr.NoiseTunnel(attr.Saliency(twin))
        want = tunnel.attribute(
            images, nt_type="smoothgrad", nt_samples=6, stdevs=0.4, target=torch.tensor(classes), abs=absolute
        )
        want = torch_twin.from_torch(want)
        method = SmoothGrad(Saliency(absolute=absolute), samples=6, noise=0.4, relative=False, seed=3)
        got = method.explain(model, x, classes).values
        assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()
