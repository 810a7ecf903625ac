"""Saliency against closed forms, an eager gradient, finite differences and Captum."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles import torch_twin

from keras_arch.explain.gradient.saliency import Saliency
from keras_arch.ops.gradients import gradients

pytestmark = pytest.mark.backend

L = keras.layers


def eager(model, x, classes):
    """Gradient of each sample's logit, without the package's engine."""

    def total(points):
        picked = ops.take_along_axis(model(points[0], training=False), ops.convert_to_tensor(classes[:, None]), axis=1)
        return ops.sum(picked)

    return ops.convert_to_numpy(gradients(total, [ops.convert_to_tensor(x)])[0])


def test_signed_values_are_the_gradient_and_the_others_its_size():
    model, x, classes = torch_twin.keras_net(), torch_twin.images(), np.array([2, 0, 1, 1])
    want = eager(model, x, classes)
    signed = Saliency(absolute=False).explain(model, x, classes)
    np.testing.assert_allclose(signed.values, want, atol=1e-6 * np.abs(want).max())
    size = Saliency().explain(model, x, classes)
    np.testing.assert_allclose(size.values, np.abs(want), atol=1e-6 * np.abs(want).max())
    assert signed.values.dtype == np.float32
    assert (want < 0).any()
    np.testing.assert_array_equal(signed.target, classes)


def test_values_are_the_slope_along_a_random_direction(rng):
    model, x = torch_twin.keras_net("tanh"), torch_twin.images(2)
    way = rng.normal(size=x.shape).astype("float32")
    values = Saliency(absolute=False).explain(model, x, 1).values
    step = 1e-2
    up, down = (ops.convert_to_numpy(model(x + sign * step * way))[:, 1] for sign in (1, -1))
    np.testing.assert_allclose((values * way).sum((1, 2, 3)), (up - down) / (2 * step), rtol=1e-2, atol=1e-3)


def test_a_layer_takes_the_place_of_the_input():
    model, x = torch_twin.keras_net(), torch_twin.images(3)
    tail = keras.Sequential([keras.Input((5, 3, 5)), *model.layers[-3:]])
    head = keras.Sequential([keras.Input((9, 7, 2)), *model.layers[:2]])
    want = eager(tail, ops.convert_to_numpy(head(x)), np.array([0, 0, 0]))
    got = Saliency(absolute=False, layer="features").explain(model, x, 0)
    assert got.layer == "features"
    np.testing.assert_allclose(got.values, want, atol=1e-6 * np.abs(want).max())


def test_calls_of_a_shared_layer_are_summed_before_signs_are_dropped(rng):
    inputs, shared = keras.Input((3,)), L.Dense(3, activation="tanh", name="shared")
    model = keras.Model(inputs, L.Dense(2)(shared(shared(inputs))))
    x = rng.normal(size=(4, 3)).astype("float32")
    calls = [Saliency(absolute=False, layer=f"shared:{call}").explain(model, x, 1).values for call in (0, 1)]
    np.testing.assert_allclose(
        Saliency(layer="shared").explain(model, x, 1).values, abs(calls[0] + calls[1]), rtol=1e-5
    )


def test_token_ids_are_explained_at_their_embedding(rng):
    inputs = keras.Input((5,), dtype="int32")
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling1D()(L.Embedding(9, 3, name="table")(inputs))))
    got = Saliency(absolute=False).explain(model, rng.integers(0, 9, (2, 5)).astype("int32"), 1)
    want = np.broadcast_to(ops.convert_to_numpy(model.layers[-1].kernel)[:, 1] / 5, (2, 5, 3))
    np.testing.assert_allclose(got.values, want, rtol=1e-5)
    assert got.layer == "table"


def test_answers_do_not_depend_on_chunks():
    model, x = torch_twin.keras_net(), torch_twin.images(5)
    whole, parts = Saliency().explain(model, x, 1), Saliency().explain(model, x, 1, batch_size=2)
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-6 * whole.values.max())
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=1e-5)


def test_a_flat_gradient_warns():
    model = keras.Sequential([keras.Input((2,)), L.Lambda(lambda t: ops.sum(ops.round(t), -1))])
    with pytest.warns(UserWarning, match="All gradients at the inputs are zero"):
        Saliency().explain(model, np.full((1, 2), 0.2))


@pytest.mark.oracle
def test_values_equal_captum():
    attr = pytest.importorskip("captum.attr", reason="needs the extra keras-arch[oracles]")
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    model, x, classes = torch_twin.keras_net(), torch_twin.images(), np.array([2, 0, 1, 1])
    twin = torch_twin.torch_net(model)
    for absolute in (True, False):
        want = attr.Saliency(twin).attribute(
            torch_twin.to_torch(x).requires_grad_(), torch.tensor(classes), abs=absolute
        )
        want = torch_twin.from_torch(want)
        got = Saliency(absolute=absolute).explain(model, x, classes).values
        assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()
