"""What layers say of their inside, against what their outputs do."""

import keras
import numpy as np
import pytest

import keras_arch as ka
from keras_arch.compression.clone import copy_of
from keras_arch.core.inner_channels import inner_channels_of

pytestmark = pytest.mark.backend

SEQUENCE, IMAGE = (2, 3, 12), (2, 6, 5, 4)


def excite(**options):
    return ka.layers.SqueezeExcite(ratio=1.0, divisor=3, gate="hard_sigmoid", **options)


# layer, how many inputs it takes, their shape
LAYERS = {
    "keras_attention": (lambda: keras.layers.MultiHeadAttention(4, 3), 2, SEQUENCE),
    "keras_gated": (lambda: keras.layers.MultiHeadAttention(4, 3, use_gate=True), 2, SEQUENCE),
    "keras_grouped": (lambda: keras.layers.GroupQueryAttention(3, 6, 3, use_gate=True), 2, SEQUENCE),
    "attention": (lambda: ka.layers.MultiHeadAttention(4, 3, sinks=True, use_gate=True), 2, SEQUENCE),
    "grouped": (
        lambda: ka.layers.MultiHeadAttention(6, 3, num_kv_heads=3, sinks=True, use_gate=True, qk_norm="rms"),
        2,
        SEQUENCE,
    ),
    "gated": (lambda: ka.layers.GatedFeedForward(5, use_bias=True), 1, SEQUENCE),
    "encoder": (lambda: ka.layers.TransformerEncoderBlock(4, 5, feed_forward="reglu"), 1, SEQUENCE),
    "grouped_encoder": (lambda: ka.layers.TransformerEncoderBlock(6, 5, key_dim=2, num_kv_heads=3), 1, SEQUENCE),
    "decoder": (lambda: ka.layers.TransformerDecoderBlock(4, 5), 1, SEQUENCE),
    "excite": (lambda: ka.layers.SqueezeExcite(ratio=0.75), 1, IMAGE),
    "convnext": (lambda: ka.layers.ConvNeXtBlock(3, expansion=2, layer_scale=None), 1, IMAGE),
    "residual": (lambda: ka.layers.ResidualBlock(5, squeeze_excite=0.6, use_bias=True), 1, IMAGE),
    "residual_given": (lambda: ka.layers.ResidualBlock(5, squeeze_excite=excite(), activation="silu"), 1, IMAGE),
    "residual_pre": (lambda: ka.layers.ResidualBlock(5, norm_placement="pre", padding="symmetric"), 1, IMAGE),
    "residual_bare": (lambda: ka.layers.ResidualBlock(5, normalization=None, use_bias=True), 1, IMAGE),
    "residual_sigmoid": (lambda: ka.layers.ResidualBlock(5, activation="sigmoid"), 1, IMAGE),
    "bottleneck": (lambda: ka.layers.BottleneckBlock(8, width=5, strides=2), 1, IMAGE),
    "bottleneck_pre": (lambda: ka.layers.BottleneckBlock(8, norm_placement="pre", hidden_filters=4, width=3), 1, IMAGE),
    "bottleneck_groups": (lambda: ka.layers.BottleneckBlock(8, 6, groups=3, hidden_filters=9), 1, IMAGE),
    "inverted": (lambda: ka.layers.InvertedResidualBlock(4, 2, squeeze_excite=0.5), 1, IMAGE),
    "inverted_given": (lambda: ka.layers.InvertedResidualBlock(4, 2, squeeze_excite=excite()), 1, IMAGE),
    "inverted_bare": (lambda: ka.layers.InvertedResidualBlock(3, 2, normalization=None, use_bias=True), 1, IMAGE),
}


def built(name, rng):
    make, inputs, shape = LAYERS[name]
    layer = make()
    x = rng.normal(size=shape).astype("float32")
    run = lambda: keras.ops.convert_to_numpy(layer(*[x] * inputs))  # noqa: E731
    run()
    for weight in layer.weights:
        if "seed" not in weight.name:
            value = rng.normal(size=weight.shape)
            weight.assign(np.abs(value) + 0.5 if "variance" in weight.name else value)
    return layer, run


def write(inner, place, index, draw):
    """Set all that a weight has for one channel."""
    variable, axis = inner.slices[place]
    array = np.array(keras.ops.convert_to_numpy(variable))
    rows = np.moveaxis(array, axis, 0)
    each = len(rows) // inner.size
    rows[index * each : (index + 1) * each] = draw(rows[:each].shape)
    variable.assign(np.abs(array) if "variance" in variable.name else array)


@pytest.mark.parametrize("name", LAYERS)
def test_every_way_to_silence_a_channel_lets_nothing_of_it_out(rng, name):
    layer, run = built(name, rng)
    assert inner_channels_of(layer)
    for inner in inner_channels_of(layer):
        for silence in inner.silences:
            saved = layer.get_weights()
            assert not inner.dead().any()
            for place in silence:
                write(inner, place, 1, np.zeros)
            assert np.flatnonzero(inner.dead()).tolist() == [1]
            quiet = run()
            for place in set(range(len(inner.slices))) - set(silence):
                write(inner, place, 1, lambda shape: rng.normal(size=shape))
            np.testing.assert_allclose(run(), quiet, rtol=1e-4, atol=1e-4)
            layer.set_weights(saved)


@pytest.mark.parametrize("name", LAYERS)
def test_what_pruning_sets_to_zero_silences_a_channel(rng, name):
    layer, _ = built(name, rng)
    for inner in inner_channels_of(layer):
        saved = layer.get_weights()
        for place in set(range(len(inner.slices))) - set(inner.spared):
            write(inner, place, 1, np.zeros)
        assert np.flatnonzero(inner.dead()).tolist() == [1]
        layer.set_weights(saved)


@pytest.mark.parametrize("name", LAYERS)
def test_every_weight_with_an_axis_of_channels_is_named(rng, name):
    """A smaller layer of the config that is named has the weights that the slices leave."""
    layer, _ = built(name, rng)
    _, inputs, shape = LAYERS[name]
    for inner in inner_channels_of(layer):
        small = copy_of(layer, **inner.config_of(inner.size - 1))
        small.build(*[shape] * inputs)
        expected = {id(weight): list(weight.shape) for weight in layer.weights}
        for variable, axis in inner.slices:
            expected[id(variable)][axis] -= variable.shape[axis] // inner.size
        assert [list(weight.shape) for weight in small.weights] == list(expected.values())


def test_layers_without_any():
    dense = keras.layers.Dense(2)
    assert inner_channels_of(dense) == []
    assert inner_channels_of(keras.layers.MultiHeadAttention(2, 2)) == []  # not built
    biased = ka.layers.MultiHeadAttention(4, 3, num_kv_heads=2, position_bias=ka.layers.ALiBiBias(4))
    biased.build((1, 3, 12), (1, 3, 12))
    assert inner_channels_of(biased) == []
    memory = ka.layers.TransformerDecoderBlock(4, 5)
    memory.build((1, 3, 12), (1, 4, 12))
    assert [inner.argument for inner in inner_channels_of(memory)] == ["intermediate_dim"]


def test_where_channels_are_mixed_there_are_none():
    """A softmax over them, a normalization of all of them, weights beside the kernel."""
    images = [
        ka.layers.ConvNeXtBlock(global_response=True, layer_scale=None),
        ka.layers.ConvNeXtBlock(activation="softmax"),
        ka.layers.SqueezeExcite(activation="softmax"),
        ka.layers.ResidualBlock(4, activation="softmax"),
        ka.layers.ResidualBlock(4, normalization="layer"),
        ka.layers.ResidualBlock(4, normalization=keras.layers.GroupNormalization(2)),
        ka.layers.ResidualBlock(4, normalization=keras.layers.BatchNormalization(axis=1)),
        ka.layers.InvertedResidualBlock(4, 2, squeeze_excite=keras.layers.Identity()),
        ka.layers.InvertedResidualBlock(4, expand_ratio=1),
    ]
    for layer in images:
        layer.build(IMAGE)
        assert inner_channels_of(layer) == []
    layer = ka.layers.TransformerEncoderBlock(4, 5, activation="softmax")
    layer.build(SEQUENCE)
    assert [inner.kind for inner in inner_channels_of(layer)] == ["head"]
    layer = ka.layers.ResidualBlock(5)
    layer.build(IMAGE)
    layer.conv1.enable_lora(2)
    assert inner_channels_of(layer) == []
