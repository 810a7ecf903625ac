"""Layers written out as their parts: equal to every bit that matters, or left whole."""

import keras
import numpy as np
import pytest

import keras_arch as ka
from keras_arch.compression.quantization.expand import expand
from keras_arch.core.walk import walk

pytestmark = pytest.mark.backend
L = keras.layers


def chain(shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


def randomized(model, rng):
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            values = rng.uniform(0.5, 1.5, weight.shape) if "variance" in weight.name else rng.normal(size=weight.shape)
            weight.assign(values)
    return model


def compared(model, rng):
    x = rng.normal(size=(3, *model.input_shape[1:])).astype("float32")
    expanded, weights = expand(model), model.get_weights()
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(expanded.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert expanded.count_params() == model.count_params()
    assert type(expanded) is type(model)
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)
    return expanded


def opened(model):
    return {path for path, layer in walk(model) if isinstance(layer, keras.Model)}


BLOCKS = {
    "residual": ((8, 8, 3), lambda: ka.layers.ResidualBlock(4, squeeze_excite=0.5, name="block")),
    "bottleneck": ((8, 8, 3), lambda: ka.layers.BottleneckBlock(8, name="block")),
    "inverted": ((8, 8, 3), lambda: ka.layers.InvertedResidualBlock(4, name="block")),
    "convnext": ((8, 8, 3), lambda: ka.layers.ConvNeXtBlock(3, name="block")),
    "encoder": ((5, 8), lambda: ka.layers.TransformerEncoderBlock(2, 16, name="block")),
    "feed forward": ((5, 8), lambda: ka.layers.GatedFeedForward(6, name="block")),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_written_out(name, rng):
    shape, make = BLOCKS[name]
    model = randomized(chain(shape, make(), L.Flatten(), L.Dense(2)), rng)
    assert "block" in opened(compared(model, rng))


@pytest.mark.parametrize("make", [L.MultiHeadAttention, ka.layers.MultiHeadAttention])
def test_attention_is_written_out_in_models_too(make, rng):
    inputs = keras.Input((5, 8))
    attention = make(2, 4, name="attention")
    inner = keras.Model(inputs, attention(inputs, inputs), name="inner")
    model = randomized(chain((5, 8), inner, L.Dense(2)), rng)
    expanded = compared(model, rng)
    assert "inner/attention" in opened(expanded)
    names = {type(operation).__name__ for operation in expanded.get_layer("inner").get_layer("attention").operations}
    assert "DotProductAttention" not in names


@keras.saving.register_keras_serializable("expand")
class Branching(L.Layer):
    """Doubles while it trains: its parts, traced once, would not."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = L.Dense(3)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x, training=None):
        return self.dense(x) * (2.0 if training else 1.0)


@keras.saving.register_keras_serializable("expand")
class OwnWeight(L.Layer):
    """Has a weight beside those of its parts."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = L.Dense(3)

    def build(self, shape):
        self.dense.build(shape)
        self.scale = self.add_weight(shape=(3,), initializer="ones")

    def call(self, x):
        return self.dense(x) * self.scale


@pytest.mark.parametrize(
    "make", [Branching, OwnWeight, lambda: L.Bidirectional(L.LSTM(2)), lambda: L.TimeDistributed(L.Dense(3))]
)
def test_what_parts_would_not_equal_stays_whole(make, rng):
    model = randomized(chain((4, 3), make(), L.Flatten(), L.Dense(2)), rng)
    assert opened(compared(model, rng)) == set()


def test_attention_under_a_mask_stays_whole(rng):
    tokens = keras.Input((5,), dtype="int32")
    x = L.Embedding(9, 8, mask_zero=True)(tokens)
    model = randomized(keras.Model(tokens, L.Dense(2)(L.MultiHeadAttention(2, 4)(x, x))), rng)
    expanded = expand(model)
    assert opened(expanded) == set()
    x = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 0, 0]])
    np.testing.assert_allclose(expanded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_arguments_of_a_call_are_kept(rng):
    inputs = keras.Input((5, 8))
    y, scores = L.MultiHeadAttention(2, 4, name="attention")(inputs, inputs, return_attention_scores=True)
    model = randomized(keras.Model(inputs, [y, scores]), rng)
    expanded = expand(model)
    assert opened(expanded) == {"attention"}
    x = rng.normal(size=(2, 5, 8)).astype("float32")
    for one, other in zip(expanded.predict(x, verbose=0), model.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_causal_mask_or_a_kept_path_leaves_attention_as_it_is(rng):
    inputs = keras.Input((5, 8))
    x = L.MultiHeadAttention(2, 4, name="causal")(inputs, inputs, use_causal_mask=True)
    model = randomized(keras.Model(inputs, L.MultiHeadAttention(2, 4, name="kept")(x, x)), rng)
    expanded = expand(model, keep={"kept"})
    assert "kept" not in opened(expanded)
    x = rng.normal(size=(2, 5, 8)).astype("float32")
    np.testing.assert_allclose(expanded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_statistics_are_those_of_the_model(rng):
    model = randomized(chain((8, 8, 3), ka.layers.ResidualBlock(4, name="block")), rng)
    block = expand(model).get_layer("block")
    expected = {weight.name: weight.numpy() for weight in model.get_layer("block").norm1.weights}
    for weight in block.get_layer("norm1").weights:
        np.testing.assert_array_equal(weight.numpy(), expected[weight.name])
