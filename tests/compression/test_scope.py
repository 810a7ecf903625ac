"""Which weights are pruned by default and by name, in models of every construction."""

import keras
import numpy as np
import pytest
from keras import layers
from oracles import pruning as oracle

from keras_arch.compression.scope import select, smallest

pytestmark = pytest.mark.backend


def names(model, targets=None):
    return [f"{target.path}/{target.variable.name}" for target in select(model, targets)]


def test_kernels_of_all_kinds_are_found_and_nothing_else():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.SeparableConv2D(4, 3, name="separable")(x)
    x = layers.PReLU()(x)
    x = layers.Reshape((-1, 2))(x)
    x = layers.LayerNormalization(axis=(1, 2))(x)
    x = layers.MultiHeadAttention(1, 2, name="attention")(x, x)
    x = layers.LSTM(2, name="lstm")(x)
    tokens = keras.Input((3,))
    words = layers.Flatten()(layers.Embedding(5, 2)(tokens))
    model = keras.Model([image, tokens], layers.Dense(2, name="head")(layers.Concatenate()([x, words])))
    assert names(model) == [
        "conv/kernel",
        "separable/pointwise_kernel",
        "attention/query/kernel",
        "attention/key/kernel",
        "attention/value/kernel",
        "attention/attention_output/kernel",
        "lstm/lstm_cell/kernel",
        "lstm/lstm_cell/recurrent_kernel",
        "head/kernel",
    ]


def test_a_custom_layer_a_frozen_layer_and_lora():
    class Mixing(layers.Layer):
        def build(self, shape):
            self.mix = self.add_weight(shape=(shape[-1], 3), name="mix")
            self.offset = self.add_weight(shape=(3,), name="offset")

        def call(self, inputs):
            return inputs @ self.mix + self.offset

    frozen, adapted = layers.Dense(3, name="frozen", trainable=False), layers.Dense(3, name="adapted")
    model = keras.Sequential([keras.Input((3,)), Mixing(name="mixing"), frozen, adapted])
    adapted.enable_lora(2)
    assert names(model) == ["mixing/mix"]


def test_nested_and_shared_layers_are_found_once():
    shared = layers.Dense(4, name="shared")
    inner = keras.Sequential([keras.Input((4,)), shared, layers.Dense(4, name="own")], name="inner")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(inner(inputs)))
    assert names(model) == ["inner/shared/kernel", "inner/own/kernel"]
    assert names(model, ["inner"]) == ["inner/shared/kernel", "inner/own/kernel"]
    assert names(model, ["own"]) == ["inner/own/kernel"]


def test_the_models_own_weight_is_found_under_its_name():
    class Direct(keras.Model):
        def __init__(self):
            super().__init__(name="direct")
            self.matrix = self.add_weight(shape=(3, 2), name="matrix")

        def call(self, inputs):
            return inputs @ self.matrix

    assert names(Direct()) == ["direct/matrix"]


def test_a_layer_without_kernels_can_be_named_on_purpose():
    model = keras.Sequential([keras.Input((3,)), layers.Embedding(5, 2, name="words"), layers.Dense(2)])
    assert names(model, ["words"]) == ["words/embeddings"]


def test_a_predicate_sees_every_trainable_weight():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="head"), layers.BatchNormalization(name="norm")])
    seen = []
    select(model, lambda path, variable: seen.append((path, variable.name)) is None)
    assert seen == [("head", "kernel"), ("head", "bias"), ("norm", "gamma"), ("norm", "beta")]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["stem"], "targets must name a layer of the model"),
        (["norm"], r"trainable weights are: head/kernel \(3, 2\), head/bias"),
        ([], "must match at least one"),
        (lambda path, variable: False, "must match at least one"),
        ("head", "must be None, a list of layer paths"),
        (3, "must be None, a list of layer paths"),
    ],
)
def test_targets_that_match_nothing_are_refused(targets, message):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="head"), layers.BatchNormalization(name="norm")])
    with pytest.raises(ValueError, match=message):
        select(model, targets)


def test_an_unbuilt_model_is_refused():
    with pytest.raises(ValueError, match="build the model"):
        select(keras.Sequential([layers.Dense(2)]))


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.97])
def test_ranking_by_layer_and_over_all(rng, sparsity):
    scores = [rng.normal(size=shape).astype("float32") for shape in ((4, 5), (7,), (2, 3, 3))]
    for score, mask in zip(scores, smallest(scores, sparsity, "layer"), strict=True):
        np.testing.assert_array_equal(mask, oracle.smallest(score, round(sparsity * score.size)))
    flat = np.concatenate([score.reshape(-1) for score in scores])
    got = np.concatenate([mask.reshape(-1) for mask in smallest(scores, sparsity, "global")])
    np.testing.assert_array_equal(got, oracle.smallest(flat, round(sparsity * 45)))
