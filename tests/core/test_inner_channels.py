"""What layers say of their inside, against what their outputs do."""

import keras
import numpy as np
import pytest

import keras_arch as ka
from keras_arch.core.inner_channels import inner_channels_of

pytestmark = pytest.mark.backend

LAYERS = {
    "keras_attention": (lambda: keras.layers.MultiHeadAttention(4, 3), 2),
    "attention": (lambda: ka.layers.MultiHeadAttention(4, 3, sinks=True), 2),
    "gated": (lambda: ka.layers.GatedFeedForward(5, use_bias=True), 1),
    "encoder": (lambda: ka.layers.TransformerEncoderBlock(4, 5, feed_forward="reglu"), 1),
    "decoder": (lambda: ka.layers.TransformerDecoderBlock(4, 5), 1),
}


def built(name, rng):
    make, inputs = LAYERS[name]
    layer = make()
    x = rng.normal(size=(2, 3, 12)).astype("float32")
    run = lambda: keras.ops.convert_to_numpy(layer(*[x] * inputs))  # noqa: E731
    run()
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer, run


def write(variable, axis, index, value):
    array = np.array(keras.ops.convert_to_numpy(variable))
    np.moveaxis(array, axis, 0)[index] = value
    variable.assign(array)


@pytest.mark.parametrize("name", LAYERS)
def test_every_way_to_silence_a_channel_lets_nothing_of_it_out(rng, name):
    layer, run = built(name, rng)
    for inner in inner_channels_of(layer):
        for silence in inner.silences:
            saved = layer.get_weights()
            assert not inner.dead().any()
            for place in silence:
                write(*inner.slices[place], 1, 0)
            assert np.flatnonzero(inner.dead()).tolist() == [1]
            quiet = run()
            for place, (variable, axis) in enumerate(inner.slices):
                if place not in silence:
                    write(variable, axis, 1, rng.normal())
            np.testing.assert_allclose(run(), quiet, rtol=1e-4, atol=1e-4)
            layer.set_weights(saved)


@pytest.mark.parametrize("name", LAYERS)
def test_every_weight_with_an_axis_of_channels_is_named(rng, name):
    """A smaller layer of the config that is named has the weights that the slices leave."""
    layer, _ = built(name, rng)
    for inner in inner_channels_of(layer):
        config = {**layer.get_config(), **inner.config, inner.argument: inner.size - 1}
        small = type(layer).from_config(config)
        shape = (2, 3, 12)
        small.build(*[shape] * LAYERS[name][1])
        cut = {id(variable): axis for variable, axis in inner.slices}
        for weight, smaller in zip(layer.weights, small.weights, strict=True):
            expected = list(weight.shape)
            if id(weight) in cut:
                expected[cut[id(weight)]] -= 1
            assert list(smaller.shape) == expected


def test_layers_without_any():
    dense = keras.layers.Dense(2)
    assert inner_channels_of(dense) == []
    assert inner_channels_of(keras.layers.MultiHeadAttention(2, 2)) == []  # not built
    shared = ka.layers.MultiHeadAttention(4, 3, num_kv_heads=2)
    shared.build((1, 3, 12), (1, 3, 12))
    assert inner_channels_of(shared) == []
    memory = ka.layers.TransformerDecoderBlock(4, 5)
    memory.build((1, 3, 12), (1, 4, 12))
    assert [inner.argument for inner in inner_channels_of(memory)] == ["intermediate_dim"]
