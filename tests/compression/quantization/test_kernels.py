"""What counts as a kernel, and where its ranges lie."""

import keras
import pytest

from keras_arch.compression.quantization.kernels import channel_axes, kernels_of
from keras_arch.compression.quantization.scheme import PerChannel, PerGroup, Scheme

pytestmark = pytest.mark.backend
L = keras.layers


def test_a_frozen_layer_is_rounded_too():
    layer = L.Dense(2)
    layer.trainable = False
    layer.build((None, 3))
    assert [kernel.name for kernel in kernels_of(layer)] == ["kernel"]


def test_biases_of_any_rank_stay_float():
    layer = L.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de")
    layer.build((None, 5, 4))
    assert [kernel.name for kernel in kernels_of(layer)] == ["kernel"]


def test_channel_axes_follow_the_output_channels():
    auto, last, bad = Scheme.for_weights(8), Scheme(8, granularity=PerChannel(-2)), Scheme(8, granularity=PerChannel(4))
    assert channel_axes(auto, (3, 3, 8, 16), 16) == (3,)
    assert channel_axes(auto, (3, 3, 8, 2), 16) == (2, 3)
    assert channel_axes(auto, (8, 16), 16) == ()
    assert channel_axes(last, (3, 3, 8, 16), 16) == (2,)
    assert channel_axes(Scheme(8), (3, 3, 8, 16), 16) == ()
    with pytest.raises(ValueError, match="axis must be an axis of the kernel of shape"):
        channel_axes(bad, (3, 3, 8, 16), 16)


def test_groups_have_to_divide_the_inputs():
    scheme = Scheme(4, narrow=True, granularity=PerGroup(4))
    assert channel_axes(scheme, (3, 3, 8, 16), 16) == (3,)
    with pytest.raises(ValueError, match=r"size must divide the 6 inputs of the kernel of shape \(6, 16\)"):
        channel_axes(scheme, (6, 16), 16)
