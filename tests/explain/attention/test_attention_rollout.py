"""Attention rollout against loops in NumPy on what the layers return."""

import keras
import numpy as np
import pytest
from oracles import attention_rollout as oracle

import keras_arch as ka
from keras_arch.explain.attention.attention_maps import attention_maps
from keras_arch.explain.attention.attention_rollout import AttentionRollout

L = keras.layers


def stack(depth=3):
    inputs = hidden = keras.Input((5, 8))
    for number in range(depth):
        block = ka.layers.TransformerEncoderBlock if number % 2 else KerasBlock
        hidden = block(2, 16, name=f"block{number}")(hidden)
    return keras.Model(inputs, L.Dense(3)(hidden[:, 0]))


class KerasBlock(L.Layer):
    """Attention of Keras with a residual connection."""

    def __init__(self, heads, units, **options):
        super().__init__(**options)
        self.attention = L.MultiHeadAttention(heads, 4, name="attention")

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, x):
        return x + self.attention(x, x)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, marks=pytest.mark.backend),
        {"heads": "max"},
        {"heads": "min", "residual": 0.3},
        {"discard_ratio": 0.4},
        {"residual": 1.0},
    ],
)
def test_values_equal_loops_over_the_maps(rng, settings):
    model, x = stack(), rng.normal(size=(2, 5, 8)).astype("float32") * 3
    maps = attention_maps(model, x)
    assert list(maps.weights) == [f"block{number}/attention" for number in range(3)]
    names = {"heads": "heads", "residual": "residual", "discard_ratio": "discard"}
    for query in (0, 3, "mean"):
        got = AttentionRollout(query=query, **settings).explain(model, x)
        for n in range(2):
            layers = [weights[n] for weights in maps.weights.values()]
            want = oracle.rollout(layers, **{names[key]: value for key, value in settings.items()})
            want = want.mean(0) if query == "mean" else want[query]
            np.testing.assert_allclose(got.values[n, :, 0], want, rtol=1e-4, atol=1e-6)


@pytest.mark.backend
def test_values_of_all_tokens_sum_to_one_and_do_not_depend_on_the_target(rng):
    model, x = stack(), rng.normal(size=(2, 5, 8)).astype("float32")
    one, other = (AttentionRollout().explain(model, x, target) for target in (0, 2))
    np.testing.assert_allclose(one.values.sum((1, 2)), 1, rtol=1e-5)
    np.testing.assert_array_equal(one.values, other.values)
    assert not np.allclose(one.scores, other.scores)


@pytest.mark.backend
def test_a_token_that_only_sees_itself_keeps_to_itself():
    """Queries and keys that are far apart for other tokens: the weights are the identity."""
    x = np.eye(4, dtype="float32")[None]
    inputs = keras.Input((4, 4))
    layer = L.MultiHeadAttention(1, 4, use_bias=False, name="look")
    model = keras.Model(inputs, L.GlobalAveragePooling1D()(layer(inputs, inputs)))
    for dense in (layer.query_dense, layer.key_dense):
        dense.set_weights([40 * np.eye(4).reshape(4, 1, 4)])
    np.testing.assert_allclose(attention_maps(model, x).weights["look"][0, 0], np.eye(4), atol=1e-6)
    for query in range(4):
        got = AttentionRollout(query=query).explain(model, x)
        np.testing.assert_allclose(got.values[0, :, 0], np.eye(4)[query], atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"heads": "sum"}, "heads must be one of 'max', 'mean', 'min'"),
        ({"residual": 1.5}, r"residual must be a number in \[0, 1\]"),
        ({"discard_ratio": 1.0}, r"discard_ratio must be a number in \[0, 1\)"),
    ],
)
def test_bad_settings_are_named(settings, match):
    with pytest.raises(ValueError, match=match):
        AttentionRollout(**settings)
