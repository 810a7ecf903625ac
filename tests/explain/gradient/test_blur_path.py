"""Blur integrated gradients: a linear model in closed form, completeness, a way of many small steps."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import torch_twin

from keras_arch.explain import IntegratedGradients
from keras_arch.explain.gradient.blur_path import BlurPath
from keras_arch.explain.gradient.paths import BrokenPath
from keras_arch.ops.diffusion import diffusion

pytestmark = pytest.mark.backend

L = keras.layers


def blurred(x, sigma):
    for axis in range(1, x.ndim - 1):
        x = np.moveaxis(np.tensordot(diffusion(x.shape[axis], sigma)[0], x, axes=(1, axis)), 0, axis)
    return x


@pytest.mark.parametrize("shape", [(6, 2), (5, 4, 2), (4, 3, 3, 1)])
def test_a_linear_model_gives_weight_times_what_the_blur_takes_away(rng, shape):
    model = keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(2)])
    x = rng.normal(size=(3, *shape)).astype("float32")
    got = IntegratedGradients(steps=48, path=BlurPath(sigma=4.0)).explain(model, x, 1)
    weight = model.get_weights()[0][:, 1].reshape(shape)
    np.testing.assert_allclose(got.baseline, blurred(x, 4.0), atol=1e-5)
    np.testing.assert_allclose(got.values, weight * (x - blurred(x, 4.0)), atol=1e-4)


def test_values_add_up_and_equal_a_way_of_small_straight_steps():
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(2)
    got = IntegratedGradients(steps=128, path=BlurPath(sigma=8.0)).explain(model, x, [2, 0])
    change = got.scores - got.baseline_scores
    np.testing.assert_allclose(got.convergence_delta, 0, atol=1e-3 * np.abs(change).max())
    points = [blurred(x, 8.0 * (1 - t)) for t in np.linspace(0, 1, 81)[1:-1]]
    by_hand = IntegratedGradients(
        steps=1, rule="riemann_middle", baseline=blurred(x, 8.0), path=BrokenPath(points)
    ).explain(model, x, [2, 0])
    np.testing.assert_allclose(got.values, by_hand.values, atol=3e-2 * np.abs(got.values).max())


def test_channels_first_is_the_same_turned(rng):
    weight = rng.normal(size=(5, 4, 2)).astype("float32")
    x = rng.normal(size=(2, 5, 4, 2)).astype("float32")

    def model(kernel):
        return keras.Sequential(
            [keras.Input(kernel.shape), L.Lambda(lambda t: ops.sum(ops.tanh(ops.multiply(t, kernel)), axis=(1, 2, 3)))]
        )

    turned, last = np.moveaxis(weight, -1, 0), IntegratedGradients(steps=8, path=BlurPath(3.0))
    first = IntegratedGradients(steps=8, path=BlurPath(3.0, data_format="channels_first"))
    want = last.explain(model(weight), x).values
    got = first.explain(model(turned), np.moveaxis(x, -1, 1)).values
    np.testing.assert_allclose(np.moveaxis(got, 1, -1), want, atol=1e-5)


def test_a_layer_is_blurred_in_its_own_size():
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(2)
    got = IntegratedGradients(steps=32, layer="features", path=BlurPath(3.0)).explain(model, x, 1)
    change = got.scores - got.baseline_scores
    np.testing.assert_allclose(got.values.sum((1, 2, 3)), change, atol=1e-3 * np.abs(change).max())


@pytest.mark.parametrize("settings", [{"sigma": 0.0}, {"sigma": float("inf")}, {"data_format": "nchw"}])
def test_bad_settings_are_named(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        BlurPath(**settings)


def test_a_baseline_beside_it_and_a_table_are_refused():
    with pytest.raises(ValueError, match="baseline must not be given with a BlurPath; received baseline=1.0"):
        IntegratedGradients(baseline=1.0, path=BlurPath())
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    with pytest.raises(ValueError, match=r"path must fit inputs that have positions .* shape \(1, 2\)"):
        IntegratedGradients(path=BlurPath()).explain(model, np.ones((1, 2)))
