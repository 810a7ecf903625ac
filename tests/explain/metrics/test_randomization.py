"""Cascading randomization: what it must expose, and that nobody's model is touched."""

import dataclasses
import threading

import keras
import numpy as np
import pytest
from conformance.zoo import ZOO

from keras_arch.explain import Attribution, GradCAM, IntegratedGradients
from keras_arch.explain.gradient.guided_backprop import GuidedBackprop
from keras_arch.explain.gradient.saliency import Saliency
from keras_arch.explain.method import Method
from keras_arch.explain.metrics import Randomization, randomization

L = keras.layers


def net():
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((6,)),
            L.Dense(8, activation="tanh", name="first"),
            L.Dense(8, activation="tanh", name="second"),
            L.Dense(3, name="head"),
        ]
    )


class Constant(Method):
    """Explains every model by the same map."""

    def attribute(self, probe, inputs, selections):
        outputs, scores = probe.predict(inputs, selections)
        values = np.broadcast_to(np.arange(6.0, dtype="float32"), inputs.shape)
        return {"values": values, "target": selections[0].value, "predictions": outputs, "scores": scores}


@pytest.mark.backend
def test_what_ignores_the_model_stays_at_one(rng):
    x = rng.normal(size=(3, 6)).astype("float32")
    got = randomization(net(), Constant().explain(net(), x, target=1))
    np.testing.assert_allclose(got.curves, 1)
    np.testing.assert_allclose(got.values, 1)
    assert got.direction == "lower"


@pytest.mark.backend
def test_what_depends_on_the_model_falls_and_each_stage_goes_one_layer_deeper(rng):
    model, x = net(), rng.normal(size=(30, 6)).astype("float32")
    got = randomization(model, IntegratedGradients().explain(model, x, target=1), absolute=False)
    assert got.stages == ("nothing", "head", "second", "first")
    np.testing.assert_allclose(got.fractions, [0, 1 / 3, 2 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(got.curves[:, 0], 1)
    assert (got.curves[:, 1:] < 0.99).mean() > 0.9
    assert (got.curves[:, 2:] != got.curves[:, 1:-1]).mean() > 0.9
    np.testing.assert_allclose(got.values, got.curves[:, 1:].mean(axis=1), rtol=1e-6)


@pytest.mark.backend
def test_stages_are_those_of_a_model_with_these_weights_by_hand(rng):
    """Each stage equals an explanation of a model whose upper layers were drawn by hand."""
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    model, x = net(), rng.normal(size=(2, 6)).astype("float32")
    attribution = IntegratedGradients().explain(model, x, target=1)
    got = Randomization(absolute=False, seed=5).measure(model, attribution).curves
    twin = net()
    twin.set_weights(model.get_weights())
    for number, name in enumerate(("head", "second", "first"), start=1):
        layer = twin.get_layer(name)
        seed = int(np.random.default_rng([5, number, 0]).integers(2**31))
        layer.set_weights([keras.initializers.GlorotUniform(seed)(layer.kernel.shape), np.zeros(layer.bias.shape)])
        now = IntegratedGradients().explain(twin, x, target=1).values
        want = [stats.spearmanr(a, b).statistic for a, b in zip(attribution.values, now, strict=True)]
        np.testing.assert_allclose(got[:, number], want, atol=1e-5)


@pytest.mark.backend
def test_chosen_layers_seeds_and_signs(rng):
    model, x = net(), rng.normal(size=(3, 6)).astype("float32")
    attribution = IntegratedGradients().explain(model, x)
    some = randomization(model, attribution, layers=["first", "head"])
    assert some.stages == ("nothing", "head", "first")
    whole = randomization(model, attribution)
    np.testing.assert_allclose(some.curves[:, :2], whole.curves[:, :2])
    assert (randomization(model, attribution, seed=1).curves[:, 1:] != whole.curves[:, 1:]).any()
    assert (randomization(model, attribution, absolute=False).curves[:, 1:] != whole.curves[:, 1:]).any()
    with pytest.raises(ValueError, match="layers must name a layer of the model; received layers='third'"):
        randomization(model, attribution, layers=["third"])


class Failing(Method):
    calls = 0

    def attribute(self, probe, inputs, selections):
        type(self).calls += 1
        if type(self).calls > 2:
            raise ArithmeticError("on purpose")
        return Constant().attribute(probe, inputs, selections)


@pytest.mark.backend
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_bit_identical_afterwards_and_meanwhile(rng, fails):
    model, x = net(), rng.normal(size=(4, 6)).astype("float32")
    weights = [np.array(weight) for weight in model.get_weights()]
    want = keras.ops.convert_to_numpy(model(x))
    method = Failing() if fails else IntegratedGradients()
    Failing.calls = 0
    attribution = method.explain(model, x, target=0)
    seen, done = [], threading.Event()

    def watch():
        while not done.is_set():
            seen.append(keras.ops.convert_to_numpy(model(x)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        if fails:
            with pytest.raises(ArithmeticError, match="on purpose"):
                randomization(model, attribution)
        else:
            randomization(model, attribution)
    finally:
        done.set()
        thread.join()
    assert seen
    for one in seen:
        np.testing.assert_array_equal(one, want)
    for was, now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize("kind", [kind for kind in ZOO if kind not in ("vectors", "tokens")])
def test_layers_of_methods_are_found_in_any_model(kind):
    case = ZOO[kind]()
    case.model(case.x)
    attribution = GradCAM(layer=case.features, relu=False).explain(case.model, case.x, case.target)
    got = randomization(case.model, attribution, absolute=False)
    np.testing.assert_allclose(got.curves[:, 0], 1, atol=1e-3)
    assert got.curves[:, 1:].min() < 0.99


@pytest.mark.backend
def test_structure_of_maps_is_compared(rng):
    inputs = keras.Input((12, 12, 2))
    hidden = L.Conv2D(3, 3, activation="tanh", name="conv")(inputs)
    model = keras.Model(inputs, L.Dense(2, name="head")(L.Flatten()(hidden)))
    x = rng.normal(size=(2, 12, 12, 2)).astype("float32")
    attribution = IntegratedGradients().explain(model, x)
    got = randomization(model, attribution, similarity="ssim")
    np.testing.assert_allclose(got.curves[:, 0], 1, atol=1e-5)
    assert got.curves[:, 1:].max() < 0.9
    flat = net()
    of_features = IntegratedGradients().explain(flat, rng.normal(size=(1, 6)).astype("float32"))
    with pytest.raises(ValueError, match=r"similarity must be 'rank' for attributions without two axes of positions"):
        randomization(flat, of_features, similarity="ssim")


@pytest.mark.backend
def test_what_cannot_be_explained_again_is_refused(rng):
    model, x = net(), rng.normal(size=(2, 6)).astype("float32")
    attribution = IntegratedGradients().explain(model, x)
    with pytest.raises(ValueError, match="attribution must know its method"):
        randomization(model, Attribution(attribution.values, x, attribution.target, None, attribution.scores))
    with pytest.raises(ValueError, match="attribution must be of this model, target and output"):
        randomization(model, dataclasses.replace(attribution, scores=attribution.scores + 1))
    for settings, message in [
        ({"similarity": "cosine"}, "similarity must be one of 'rank', 'ssim'"),
        ({"seed": -1}, "seed must be an integer >= 0"),
        ({"absolute": 1}, "absolute must be a bool"),
        ({"layers": []}, "layers must be one or more layers"),
    ]:
        with pytest.raises(ValueError, match=message):
            Randomization(**settings)


@pytest.fixture(scope="module")
def trained(digits):
    """A small convolutional net that reads digits."""
    (x, y), (x_test, y_test) = digits
    keras.utils.set_random_seed(0)
    relu = {"padding": "same", "activation": "relu"}
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(16, 3, **relu),
            L.Conv2D(16, 3, **relu),
            L.Conv2D(16, 3, **relu, name="features"),
            L.Flatten(),
            L.Dense(32, activation="relu"),
            L.Dense(10),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(x, y, epochs=8, batch_size=32, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.95
    return model, x_test[:64]


def test_guided_backprop_is_exposed_as_published(trained):
    """Adebayo et al. 2018: gradients and Grad-CAM lose what they showed, Guided Backprop keeps showing it."""
    model, x = trained
    curves = {}
    for method in (Saliency(), GradCAM(layer="features"), GuidedBackprop()):
        curves[type(method).__name__] = randomization(model, method.explain(model, x)).curves.mean(axis=0)
    guided = curves.pop("GuidedBackprop")
    assert guided.min() > 0.6
    for curve in curves.values():
        assert (curve[1:] < guided[1:] - 0.4).all()
