"""Products: gates are constants, equals get half each."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.explain.relevance.lrp import LRP
from keras_arch.explain.relevance.products import fades, shared
from keras_arch.layers import GatedFeedForward, SqueezeExcite

L = keras.layers


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.backend
def test_equals_get_half_each(rng):
    inputs = keras.Input((4,))
    one, two = L.Dense(3, use_bias=False), L.Dense(3, use_bias=False)
    model = keras.Model(inputs, L.Multiply()([one(inputs), two(inputs)]))
    x = rng.normal(size=(2, 4)).astype("float32")
    got = LRP(epsilon=0).explain(model, x, 1)
    a, b = numpy(one(x))[:, 1:2], numpy(two(x))[:, 1:2]
    want = 0.5 * x * (numpy(one.kernel)[:, 1] * b + numpy(two.kernel)[:, 1] * a)
    np.testing.assert_allclose(got.values, want, rtol=1e-4, atol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("bare", [False, True])
def test_a_gate_that_is_spread_over_positions_is_a_constant(rng, bare):
    inputs = keras.Input((3, 3, 4))
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(inputs))
    gated = inputs * gate if bare else L.Multiply()([inputs, gate])
    model = keras.Model(inputs, [L.Flatten()(gated), gate])
    x = rng.normal(size=(2, 3, 3, 4)).astype("float32")
    got = LRP().explain(model, x, [lambda outputs: outputs[:, 5], lambda outputs: 0 * outputs[:, 0, 0, 0]])
    want = np.zeros_like(x)
    want[:, 0, 1, 1] = (x * numpy(model(x)[1]))[:, 0, 1, 1]
    np.testing.assert_allclose(got.values, want, rtol=1e-5, atol=1e-6)


@pytest.mark.backend
def test_squeeze_and_excite_is_a_gate(rng):
    layer = SqueezeExcite(0.5)
    model = keras.Sequential([keras.Input((3, 3, 4)), layer, L.Flatten()])
    x = rng.normal(size=(2, 3, 3, 4)).astype("float32")
    got = LRP().explain(model, x, 5).values
    np.testing.assert_allclose(got.sum((1, 2, 3)), numpy(model(x))[:, 5], rtol=1e-5)
    assert np.count_nonzero(got[0]) == 1


@pytest.mark.parametrize("attention", ["constant", "attnlrp"])
def test_sides_of_products_inside_layers(attention):
    layer = L.MultiHeadAttention(2, 3, use_gate=True)
    layer.build((None, 4, 6), (None, 4, 6))
    feed = GatedFeedForward(4)
    feed.build((None, 6))
    found = fades([layer, feed], attention)
    sides = (layer.query_dense, layer.key_dense, layer.value_dense)
    want = [0.0, 0.0, 1.0] if attention == "constant" else [0.25, 0.25, 0.5]
    assert [found[id(side)] for side in sides] == want
    assert found[id(feed.gate_dense)] == found[id(feed.value_dense)] == 0.5
    assert sum(factor == 0.0 for factor in found.values()) == (3 if attention == "constant" else 1)


def test_constants_take_no_share():
    x = ops.ones((2, 3))
    first, second = shared([x, 2.0])
    assert first is x
    assert second == 2.0


@pytest.mark.backend
def test_attention_layers_without_projections(rng):
    inputs = keras.Input((5, 4))
    for layer in (L.Attention(), L.AdditiveAttention()):
        model = keras.Model(inputs, L.Flatten()(layer([inputs, inputs])))
        x = rng.normal(size=(2, 5, 4)).astype("float32")
        got = LRP().explain(model, x, 6).values  # position 1, channel 2
        np.testing.assert_allclose(got.sum((1, 2)), numpy(model(x))[:, 6], rtol=1e-4)
        _, scores = layer([x, x], return_attention_scores=True)
        np.testing.assert_allclose(got[:, :, 2], numpy(scores)[:, 1] * x[:, :, 2], rtol=1e-4, atol=1e-6)


@pytest.mark.backend
def test_bare_operations_of_functional_models(rng):
    def net(shift):
        inputs = keras.Input((4,))
        y = ops.tanh(L.Dense(5, use_bias=False)((inputs - shift) * 2.0 if shift else inputs * 2.0))
        y = y * ops.silu(L.Dense(5, use_bias=False)(inputs))
        return keras.Model(inputs, L.Dense(2, use_bias=False)(y))

    x = rng.normal(size=(3, 4)).astype("float32")
    got = LRP(epsilon=0).explain(net(0.0), x, 1)
    np.testing.assert_allclose(got.values.sum(1), got.scores, atol=1e-5)
    assert np.abs(LRP().explain(net(1.0), x, 1).convergence_delta).max() > 1e-3
