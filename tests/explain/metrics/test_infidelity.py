"""Infidelity in closed form on linear models, against loops, and against Captum."""

import dataclasses

import keras
import numpy as np
import pytest
from oracles.explain_metrics import infidelity as loop

from keras_arch.explain import Attribution, IntegratedGradients
from keras_arch.explain.metrics import GaussianNoise, Infidelity, NoisyBaseline, SquareRemoval, infidelity
from keras_arch.explain.metrics.disturbance import draws

L = keras.layers
DISTURBANCES = [GaussianNoise(0.3), NoisyBaseline(0.3, 0.5), SquareRemoval(2, 0.5)]


def own(values, x, target=1, **fields):
    return Attribution(values, x, target, None, np.zeros(len(values), "float32"), **fields)


def linear(rng):
    model = keras.Sequential([keras.Input((4, 3, 2)), L.Flatten(), L.Dense(3, bias_initializer="random_normal")])
    slopes = model.get_weights()[0][:, 1].reshape(4, 3, 2)
    x = rng.normal(size=(3, 4, 3, 2)).astype("float32")
    return model, x, np.broadcast_to(slopes, x.shape)


def smooth():
    inputs = keras.Input((4, 3, 2))
    return keras.Model(inputs, L.Dense(3)(L.Flatten()(L.Conv2D(3, 2, activation="tanh")(inputs))))


def disturbances(kind, x, count, seed=0):
    [(mask, shift)] = draws(kind, [x.shape], count, seed)
    return [mask[k] * (x - kind.baseline) + shift[k] for k in range(count)]


@pytest.mark.backend
@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=repr)
def test_the_slopes_of_a_linear_model_miss_nothing(rng, disturbance):
    model, x, slopes = linear(rng)
    np.testing.assert_allclose(infidelity(model, own(slopes, x), disturbance=disturbance).values, 0, atol=1e-11)
    wrong = infidelity(model, own(slopes + 0.1, x), disturbance=disturbance).values
    assert (wrong > 1e-4).all()


@pytest.mark.backend
@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=repr)
def test_integrated_gradients_of_a_linear_model_miss_nothing(rng, disturbance):
    model, x, _ = linear(rng)
    attribution = IntegratedGradients(baseline=0.25).explain(model, x, target=1)
    np.testing.assert_allclose(infidelity(model, attribution, disturbance=disturbance).values, 0, atol=1e-9)
    assert (infidelity(model, attribution, disturbance=disturbance, shares=False).values > 1e-4).all()


@pytest.mark.backend
def test_shares_without_a_baseline_are_of_the_way_from_the_disturbances(rng):
    model, x, slopes = linear(rng)
    shares = own(slopes * (x - 0.5), x)
    removal = SquareRemoval(2, 0.5)
    np.testing.assert_allclose(infidelity(model, shares, disturbance=removal, shares=True).values, 0, atol=1e-10)
    assert (infidelity(model, shares, disturbance=removal).values > 1e-5).all()


@pytest.mark.backend
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=repr)
def test_values_equal_the_loop(rng, disturbance, normalized):
    model, x = smooth(), rng.normal(size=(3, 4, 3, 2)).astype("float32")
    values = rng.normal(size=x.shape).astype("float32")
    metric = Infidelity(disturbance, draws=9, normalized=normalized, seed=4)
    got = metric.measure(model, own(values, x), batch_size=4).values

    def score(one):
        return keras.ops.convert_to_numpy(model(one[None].astype("float32")))[0, 1].astype("float64")

    want = [
        loop(score, one, value, disturbances(disturbance, one, 9, 4), normalized)
        for one, value in zip(x, values, strict=True)
    ]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-7)


@pytest.mark.backend
def test_a_factor_is_forgiven_when_normalized(rng):
    model, x = smooth(), rng.normal(size=(3, 4, 3, 2)).astype("float32")
    values = rng.normal(size=x.shape).astype("float32")
    once, scaled = (infidelity(model, own(f * values, x), normalized=True).values for f in (1, 7))
    np.testing.assert_allclose(once, scaled, rtol=1e-4)
    nothing = infidelity(model, own(0 * values, x), normalized=True).values
    assert np.isfinite(nothing).all()
    assert (nothing >= once).all()


@pytest.mark.backend
def test_a_map_of_one_channel_stands_for_each(rng):
    model, x = smooth(), rng.normal(size=(2, 4, 3, 2)).astype("float32")
    values = rng.normal(size=(2, 4, 3, 1)).astype("float32")
    want = infidelity(model, own(np.repeat(values, 2, axis=-1), x)).values
    np.testing.assert_allclose(infidelity(model, own(values, x)).values, want, rtol=1e-6)


@pytest.mark.backend
def test_an_embedding_is_disturbed_where_it_is_explained(rng):
    inputs = keras.Input((5,), dtype="int32")
    flat = L.Flatten()(L.Embedding(9, 3, name="embedding")(inputs))
    model = keras.Model(inputs, L.Dense(3)(flat))  # linear in the embedding
    x = rng.integers(0, 9, (3, 5)).astype("int32")
    attribution = IntegratedGradients().explain(model, x, target=1)
    for disturbance in DISTURBANCES:
        got = infidelity(model, attribution, disturbance=disturbance, batch_size=4).values
        np.testing.assert_allclose(got, 0, atol=1e-9)
    wrong = dataclasses.replace(attribution, values=attribution.values + 0.1)
    assert (infidelity(model, wrong).values > 1e-6).all()


@pytest.mark.backend
def test_several_inputs_are_disturbed_together(rng):
    first, second = keras.Input((2,)), keras.Input((3,))
    model = keras.Model([first, second], L.Dense(2)(L.Concatenate()([first, second])))
    x = [rng.normal(size=(2, width)).astype("float32") for width in (2, 3)]
    slopes = model.get_weights()[0][:, 1]
    values = [np.repeat(slopes[None, :2], 2, 0), np.repeat(slopes[None, 2:], 2, 0)]
    right = Attribution(values, x, 1, None, np.zeros(2))
    np.testing.assert_allclose(infidelity(model, right).values, 0, atol=1e-11)
    half = Attribution([values[0], 0 * values[1]], x, 1, None, np.zeros(2))
    assert (infidelity(model, half).values > 1e-5).all()


@pytest.mark.backend
def test_what_does_not_fit_is_refused(rng):
    model, x = smooth(), rng.normal(size=(2, 4, 3, 2)).astype("float32")
    small = np.zeros((2, 2, 2, 1), "float32")
    with pytest.raises(ValueError, match="attribution must have values for float inputs.*embedding layer"):
        infidelity(model, own(small, x))
    name = model.layers[1].name
    with pytest.raises(ValueError, match=rf"must have the shape that its layer '{name}' returns, \[\(2, 3, 2, 3\)\]"):
        infidelity(model, own(small, x, layer=name))
    for settings, message in [
        ({"draws": 0}, "draws must be an integer >= 1"),
        ({"seed": -1}, "seed must be an integer >= 0"),
        ({"disturbance": 0.1}, r"disturbance must have draw\(shape, generator\); received disturbance=0.1"),
        ({"normalized": "yes"}, "normalized must be a bool"),
        ({"shares": "yes"}, "shares must be a bool or None"),
    ]:
        with pytest.raises(ValueError, match=message):
            Infidelity(**settings)


@pytest.mark.oracle
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=repr)
def test_values_equal_captum_on_the_same_disturbances(rng, disturbance, normalized):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    peer = pytest.importorskip("captum.metrics", reason="needs the extra keras-arch[oracles]")
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, activation="tanh"), L.Dense(3)])
    twin = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    for layer, ours in zip((twin[0], twin[2]), model.layers, strict=True):
        kernel, bias = ours.get_weights()
        layer.weight.data, layer.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)
    x, values = (rng.normal(size=(4, 6)).astype("float32") for _ in range(2))

    def perturb(inputs):  # each sample comes 10 times in a row
        taken = np.concatenate([disturbances(disturbance, one, 10) for one in inputs.numpy()[::10]])
        taken = torch.tensor(taken.astype("float32"))
        return taken, inputs - taken

    theirs = peer.infidelity(
        twin, perturb, torch.tensor(x), torch.tensor(values), target=1, n_perturb_samples=10, normalize=normalized
    )
    got = infidelity(model, own(values, x), disturbance=disturbance, draws=10, normalized=normalized).values
    np.testing.assert_allclose(got, theirs.numpy(), rtol=1e-4, atol=1e-7)
