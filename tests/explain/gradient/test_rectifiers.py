"""Every way to write a ReLU is replaced for one pass and comes back; one that cannot be replaced is an error."""

import threading

import keras
import numpy as np
import pytest
from keras import ops
from oracles.rectifiers import backward

from keras_arch.explain.gradient.guided_backprop import GuidedBackprop
from keras_arch.explain.gradient.rectifiers import Rectifiers
from keras_arch.explain.gradient.saliency import Saliency

pytestmark = pytest.mark.backend

L = keras.layers
CLASSES = np.array([0, 1, 2, 0])


class ByAttribute(keras.Model):
    """Functions kept as attributes."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.one, self.two, self.head = L.Dense(6), L.Dense(5), L.Dense(3)

    def call(self, x):
        return self.head(self.function(self.two(self.function(self.one(x)))))


class ByHand(ByAttribute):
    """A function that no attribute holds."""

    def call(self, x):
        return self.head(self.function(self.two(keras.ops.relu(self.one(x)))))


def functional(first, second):
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.Dense(3)(second(L.Dense(5)(first(L.Dense(6)(inputs))))))


def nested(function):
    inputs = keras.Input((4,))
    inner = keras.Model(inputs, function(L.Dense(6)(inputs)), name="inner")
    outside = keras.Input((4,))
    return keras.Model(outside, L.Dense(3)(L.Dense(5, activation="relu")(inner(outside))))


MODELS = {
    "activation": lambda: keras.Sequential(
        [keras.Input((4,)), L.Dense(6, activation="relu"), L.Dense(5, activation=keras.activations.relu), L.Dense(3)]
    ),
    "layers": lambda: functional(L.ReLU(), L.Activation("relu")),
    "layer as activation": lambda: keras.Sequential(
        [keras.Input((4,)), L.Dense(6, activation=L.ReLU()), L.Dense(5, activation=ops.relu), L.Dense(3)]
    ),
    "nodes": lambda: functional(keras.activations.relu, ops.relu),
    "nested nodes": lambda: nested(ops.relu),
    "attributes": lambda: ByAttribute(keras.activations.relu),
    "attributes of ops": lambda: ByAttribute(ops.relu),
}
CUT = {
    "activation": lambda: keras.Sequential(
        [keras.Input((4,)), L.Dense(6, activation="relu6"), L.Dense(5, activation=keras.activations.relu6), L.Dense(3)]
    ),
    "layers": lambda: functional(L.ReLU(6.0), L.ReLU(max_value=6)),
    "nodes": lambda: functional(keras.activations.relu6, ops.relu6),
    "node with options": lambda: functional(
        lambda t: keras.activations.relu(t, max_value=6.0), lambda t: keras.activations.relu(t, max_value=6.0)
    ),
}


def fill(model, rng, scale):
    """Weights with biases that are not zero; ReLU6 is cut for some."""
    x = (rng.normal(size=(4, 4)) * scale).astype("float32")
    model(x)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    return x


def footprint(model):
    """All that could be left changed, by identity."""
    owners = [model, *model._flatten_layers(include_self=False), *getattr(model, "operations", ())]
    return [(owner.name, {name: id(value) for name, value in vars(owner).items()}) for owner in owners]


@pytest.mark.parametrize("kind", MODELS)
def test_each_way_to_write_a_relu_is_replaced_and_comes_back(kind, rng):
    model = MODELS[kind]()
    x = fill(model, rng, 5.0)
    before = footprint(model)
    got = GuidedBackprop().explain(model, x, CLASSES)
    assert footprint(model) == before
    np.testing.assert_allclose(got.values, backward(model.get_weights(), x, CLASSES, "guided"), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got.predictions, ops.convert_to_numpy(model(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", CUT)
def test_rectifiers_with_an_upper_end_keep_it(kind, rng):
    model = CUT[kind]()
    x = fill(model, rng, 3.0)
    want = backward(model.get_weights(), x, CLASSES, "guided", 6.0)
    assert not np.allclose(want, backward(model.get_weights(), x, CLASSES, "guided"))
    got = GuidedBackprop().explain(model, x, CLASSES)
    np.testing.assert_allclose(got.values, want, rtol=1e-4, atol=1e-4)


def test_a_relu_called_by_hand_is_not_missed_in_silence(rng):
    model = ByHand(keras.activations.relu)
    x = fill(model, rng, 1.0)
    before = footprint(model)
    with pytest.raises(
        ValueError, match=r"model must run each ReLU as .* 1 more ran: .*[rR]elu.*keras.layers.ReLU\(\)"
    ):
        GuidedBackprop().explain(model, x, CLASSES)
    assert footprint(model) == before


def test_leaky_units_keep_their_own_gradient(rng):
    for make in (L.LeakyReLU, L.PReLU, lambda: L.ReLU(negative_slope=0.3), lambda: L.ReLU(5.0, 0.2), L.ELU):
        model = keras.Sequential([keras.Input((4,)), L.Dense(6), make(), L.Dense(3)])
        x = fill(model, rng, 1.0)
        want = Saliency(absolute=False).explain(model, x, CLASSES).values
        np.testing.assert_allclose(GuidedBackprop().explain(model, x, CLASSES).values, want, rtol=1e-5, atol=1e-6)


def test_layers_come_back_after_an_error(rng):
    model = MODELS["activation"]()
    fill(model, rng, 1.0)
    before = footprint(model)
    with Rectifiers("guided")(model):
        assert model.layers[0].activation is not keras.activations.relu
    with pytest.raises(KeyError), Rectifiers("guided")(model):
        raise KeyError
    assert footprint(model) == before


def test_other_threads_get_the_function_itself(rng):
    model = MODELS["activation"]()
    fill(model, rng, 1.0)
    seen = []
    with Rectifiers("deconvnet")(model):
        activation = model.layers[0].activation
        thread = threading.Thread(target=lambda: seen.append(activation(ops.convert_to_tensor([-1.0, 2.0]))))
        thread.start()
        thread.join()
    np.testing.assert_array_equal(ops.convert_to_numpy(seen[0]), [0.0, 2.0])


def test_amendments_are_values():
    assert Rectifiers("guided") == Rectifiers("guided") != Rectifiers("deconvnet")
    assert hash(Rectifiers("guided")) == hash(Rectifiers("guided"))
    with pytest.raises(ValueError, match="backward must be one of"):
        Rectifiers("plain")
