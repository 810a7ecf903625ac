"""VarGrad against a closed form, noisy copies made by hand and Captum."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import torch_twin

from keras_arch.explain import IntegratedGradients
from keras_arch.explain.gradient.input_x_gradient import InputXGradient
from keras_arch.explain.gradient.noise import NoiseSteps
from keras_arch.explain.gradient.saliency import Saliency
from keras_arch.explain.gradient.var_grad import VarGrad

pytestmark = pytest.mark.backend

L = keras.layers


def test_the_gradient_of_a_quadratic_varies_as_its_matrix_says(rng):
    a = rng.normal(size=(4, 4)).astype("float32")
    a = a + a.T
    model = keras.Sequential(
        [keras.Input((4,)), L.Lambda(lambda t: ops.sum(t * (t @ ops.convert_to_tensor(a)), axis=-1))]
    )
    x = 100 + rng.normal(size=(3, 4)).astype("float32")  # far from zero: E[g²] - E[g]² would lose all digits
    got = VarGrad(samples=500, noise=0.5, relative=False).explain(model, x).values
    draws = np.stack([noise for noise, _ in NoiseSteps(0, 500, x[0])])
    np.testing.assert_allclose(got, np.tile((draws @ a).var(0), (3, 1)), rtol=1e-3)  # 2A, noise 0.5
    np.testing.assert_allclose(got, np.tile((a**2).sum(0), (3, 1)), rtol=0.3)


@pytest.mark.parametrize("inner", [Saliency(), InputXGradient(), IntegratedGradients(steps=2)])
def test_the_variance_is_that_of_the_explanations_of_the_copies(inner):
    model, x, classes = torch_twin.keras_net(), torch_twin.images(3), [2, 0, 1]
    scale = 0.3 * np.ptp(x, axis=(1, 2, 3), keepdims=True)
    each = [inner.explain(model, x + scale * noise, classes).values for noise, _ in NoiseSteps(2, 5, x[0])]
    got = VarGrad(inner, samples=5, noise=0.3, seed=2).explain(model, x, classes)
    np.testing.assert_allclose(got.values, np.var(each, axis=0), atol=1e-5 * np.var(each, axis=0).max())
    assert got.values.min() >= 0


def test_a_linear_model_has_none(rng):
    model = keras.Sequential([keras.Input((5,)), L.Dense(3)])
    np.testing.assert_allclose(VarGrad(samples=4).explain(model, rng.normal(size=(2, 5)), 1).values, 0, atol=1e-12)


def test_chunks_and_batch_mates_change_nothing():
    model, x = torch_twin.keras_net(), torch_twin.images(5)
    whole = VarGrad(samples=3).explain(model, x, 1).values
    np.testing.assert_allclose(
        VarGrad(samples=3).explain(model, x, 1, batch_size=2).values, whole, atol=1e-6 * whole.max()
    )
    np.testing.assert_allclose(
        VarGrad(samples=3).explain(model, x[2:3], 1).values[0], whole[2], atol=1e-6 * whole.max()
    )


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="samples must be an integer"):
        VarGrad(samples=0)


@pytest.mark.oracle
def test_values_equal_captum_for_the_same_noise(monkeypatch):
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    model, x, classes = torch_twin.keras_net(), torch_twin.images(), np.array([2, 0, 1, 1])
    twin = torch_twin.torch_net(model)
    draws = np.stack([noise for noise, _ in NoiseSteps(3, 6, x[0])])
    monkeypatch.setattr(torch, "normal", lambda loc, scale: torch_twin.to_torch(draws).repeat(len(x), 1, 1, 1) * scale)
    want = attr.NoiseTunnel(attr.Saliency(twin)).attribute(
        torch_twin.to_torch(x), nt_type="vargrad", nt_samples=6, stdevs=0.4, target=torch.tensor(classes), abs=False
    )
    got = VarGrad(samples=6, noise=0.4, relative=False, seed=3).explain(model, x, classes).values
    want = torch_twin.from_torch(want)
    assert np.abs(got - want).max() <= 3e-6 * np.abs(want).max()
