"""Batch normalization joins the layer before it, and nothing else does."""

import keras
import numpy as np
import pytest

from keras_arch.explain.relevance.lrp import LRP

L = keras.layers


def pair(rng, between=()):
    """(with a batch normalization, with its numbers in the kernel), the same function."""
    conv, norm = L.Conv2D(5, 3, bias_initializer="random_normal"), L.BatchNormalization()
    inputs = keras.Input((6, 6, 2))
    y = conv(inputs)
    for layer in between:
        y = layer(y)
    tail = [L.ReLU(), L.Flatten(), L.Dense(3, bias_initializer="random_normal")]
    z = norm(y)
    for layer in tail:
        z = layer(z)
    for weight, value in zip(norm.weights, rng.normal(size=(4, 5)), strict=True):
        weight.assign(np.abs(value) + 0.2 if "variance" in weight.path else value)
    plain = L.Conv2D(5, 3)
    w = plain(inputs)
    for layer in tail:
        w = layer(w)
    gamma, beta, mean, variance = norm.get_weights()
    kernel, bias = conv.get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    plain.set_weights([kernel * scale, (bias - mean) * scale + beta])
    return keras.Model(inputs, z), keras.Model(inputs, w)


@pytest.mark.backend
@pytest.mark.parametrize(
    "method",
    [
        LRP(epsilon=0.05),
        LRP("gamma"),
        LRP("alpha_beta"),
        LRP("epsilon_plus_flat", epsilon=0.05),
        LRP("epsilon_gamma_box", epsilon=0.05, low=-4.0, high=4.0),
    ],
)
def test_batch_normalization_after_a_kernel_equals_one_layer(rng, method):
    apart, joined = pair(rng)
    x = rng.normal(size=(3, 6, 6, 2)).astype("float32")
    got, want = method.explain(apart, x, 1), method.explain(joined, x, 1)
    np.testing.assert_allclose(got.scores, want.scores, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(got.values, want.values, atol=1e-4 * np.abs(want.values).max())


def test_a_layer_between_keeps_them_apart(rng):
    apart, joined = pair(rng, between=[L.LeakyReLU(0.999999)])
    x = rng.normal(size=(3, 6, 6, 2)).astype("float32")
    got, want = (LRP("alpha_beta").explain(model, x, 1).values for model in (apart, joined))
    assert np.abs(got - want).max() > 1e-2 * np.abs(want).max()


def test_a_layer_whose_output_is_also_used_elsewhere_counts_once_on_each_way(rng):
    inputs = keras.Input((6,))
    dense = L.Dense(8, use_bias=False)
    y = dense(inputs)
    z = L.BatchNormalization()(y)
    model = keras.Model(inputs, L.Dense(2, use_bias=False)(L.Add()([y, z])))
    x = rng.normal(size=(3, 6)).astype("float32")
    for rule in ("epsilon", "gamma"):
        got = LRP(rule, **({"epsilon": 0} if rule == "epsilon" else {})).explain(model, x, 1)
        np.testing.assert_allclose(got.values.sum(1), got.scores, atol=1e-5)
