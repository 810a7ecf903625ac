"""The channels between convolutions: what silences them, and what pruning leaves alone."""

import keras
import numpy as np
import pytest

from keras_arch.layers import BottleneckBlock, ConvNeXtBlock, InvertedResidualBlock, ResidualBlock, SqueezeExcite
from keras_arch.layers.convolutional.inner_filters import inner_filters

pytestmark = pytest.mark.backend
L = keras.layers


def chain(norm, depthwise=False):
    conv = L.DepthwiseConv2D(3) if depthwise else L.Conv2D(4, 3)
    conv.build((None, 8, 8, 4))
    if norm is not None:
        norm.build((None, 6, 6, 4))
    reader = L.Conv2D(2, 1, name="reader")
    reader.build((None, 6, 6, 4))
    return (conv, norm), reader


def named(inner, places):
    return [inner.slices[place][0].name for place in places]


@pytest.mark.parametrize(
    ("norm", "activation", "silence"),
    [
        (None, "relu", ["kernel", "bias"]),
        (L.BatchNormalization, "gelu", ["gamma", "beta"]),
        (lambda: L.BatchNormalization(center=False), "relu", ["gamma"]),
        (lambda: L.BatchNormalization(scale=False), "relu", None),
        (L.BatchNormalization, "sigmoid", None),
        (None, "softplus", None),
    ],
)
def test_what_silences_a_channel_at_the_end(norm, activation, silence):
    stage, reader = chain(norm and norm())
    [inner] = inner_filters([stage], keras.activations.get(activation), [reader], "filters")
    assert inner.silences[0] == (0,)
    assert [named(inner, places) for places in inner.silences[1:]] == ([silence] if silence else [])
    moments = ["moving_mean", "moving_variance"] if norm else []
    assert named(inner, inner.spared) == (["kernel"] if silence else []) + moments
    assert inner.slices[0][0] is reader.kernel


def test_depthwise_kernels_do_not_count():
    stages, reader = [chain(None)[0], chain(None, depthwise=True)[0]], chain(None)[1]
    [inner] = inner_filters(stages, None, [reader], "filters")
    depthwise = stages[1][0].kernel
    assert [inner.slices[place][0] is depthwise for place in inner.uncounted] == [False, True]
    assert named(inner, inner.silences[1]) == ["kernel", "bias"]
    assert inner.slices[inner.silences[1][0]][0] is depthwise


@pytest.mark.parametrize(
    ("make", "hidden"),
    [
        (lambda **own: ResidualBlock(6, **own), "conv1"),
        (lambda **own: BottleneckBlock(6, width=4, **own), "conv2"),
        (lambda **own: InvertedResidualBlock(4, 1, **own), "expand_conv"),
        (lambda **own: ConvNeXtBlock(3, **own), "expand_dense"),
    ],
)
def test_hidden_filters_are_as_many_as_asked_for(make, hidden, rng):
    x = rng.standard_normal((2, 5, 6, 4)).astype("float32")
    block = make(hidden_filters=5)
    shape = block(x).shape
    assert tuple(shape) == tuple(make()(x).shape)
    assert getattr(block, hidden).kernel.shape[-1] == 5
    copied = type(block).from_config(block.get_config())
    copied.build(x.shape)
    assert [weight.shape for weight in copied.weights] == [weight.shape for weight in block.weights]


@pytest.mark.parametrize("block", [ResidualBlock(4), InvertedResidualBlock(4), ConvNeXtBlock(), BottleneckBlock(4)])
def test_configs_from_before_there_were_hidden_filters_load(block):
    config = block.get_config()
    old = {name: value for name, value in config.items() if name not in ("hidden_filters", "squeeze_width")}
    assert type(block).from_config(old).get_config() == config


@pytest.mark.parametrize("make", [ResidualBlock, InvertedResidualBlock])
def test_squeeze_width_stands_in_place_of_the_ratio(make, rng):
    x = rng.standard_normal((2, 5, 6, 4)).astype("float32")
    block = make(8, squeeze_excite=0.25, squeeze_width=3)
    block(x)
    assert block.excitation.squeeze_dense.units == 3
    assert make.from_config(block.get_config()).squeeze_width == 3
    for given in (None, SqueezeExcite()):
        with pytest.raises(
            ValueError, match="squeeze_width needs squeeze_excite as a number; received squeeze_width=3"
        ):
            make(8, squeeze_excite=given, squeeze_width=3)


def test_numbers_that_cannot_be_are_refused():
    for make in (lambda n: ResidualBlock(4, hidden_filters=n), lambda n: ConvNeXtBlock(hidden_filters=n)):
        with pytest.raises(ValueError, match="hidden_filters must be"):
            make(0)
    with pytest.raises(ValueError, match="groups must divide the hidden_filters 6"):
        BottleneckBlock(8, width=8, groups=4, hidden_filters=6)


def test_a_whole_ratio_is_a_number_too(rng):
    block = ResidualBlock(4, squeeze_excite=1)
    block(np.ones((1, 4, 4, 4), "float32"))
    assert [inner.argument for inner in block.inner_channels()] == ["hidden_filters", "squeeze_width"]
