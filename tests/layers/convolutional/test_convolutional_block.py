import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import BottleneckBlock, InvertedResidualBlock, ResidualBlock

pytestmark = pytest.mark.backend
BLOCKS = {"basic": ResidualBlock, "bottleneck": BottleneckBlock, "inverted": InvertedResidualBlock}


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("shape", [(2, 6, 5, 4), (2, 7, 8, 8)])
def test_shapes_are_promised_right(kind, padding, shape):
    block = BLOCKS[kind](8, strides=2, padding=padding)
    assert tuple(block(np.ones(shape, "float32")).shape) == block.compute_output_shape(shape)
    assert block.compute_output_shape((None, None, 5, 4)) == (None, None, 3, 8)


@pytest.mark.parametrize("kind", BLOCKS)
def test_dilation_keeps_the_size_and_widens_the_view(kind):
    block = BLOCKS[kind](4, dilation_rate=3, normalization=None, use_bias=False, kernel_initializer="ones")
    pulse = np.zeros((1, 15, 15, 4), "float32")
    pulse[0, 7, 7] = 1
    seen = ops.convert_to_numpy(block(pulse))[0, :, :, 0] != 0
    reach = {"basic": 6, "bottleneck": 3, "inverted": 3}[kind]  # two convolutions, or one
    rows = np.flatnonzero(seen.any(axis=1))
    assert (rows.min(), rows.max()) == (7 - reach, 7 + reach)


@pytest.mark.parametrize("kind", BLOCKS)
def test_regularizers_and_initializers_reach_every_kernel(kind):
    block = BLOCKS[kind](8, squeeze_excite=0.5, kernel_regularizer="l2", kernel_initializer="ones", strides=2)
    block.build((None, 6, 5, 4))
    kernels = [weight for weight in block.trainable_weights if len(weight.shape) > 1]
    assert len(block.losses) == len(kernels)
    assert all((ops.convert_to_numpy(kernel) == 1).all() for kernel in kernels)


def test_an_unseeded_initializer_object_gives_each_kernel_its_own_values():
    block = ResidualBlock(4, kernel_initializer=keras.initializers.HeNormal())
    block.build((None, 6, 5, 4))
    assert (ops.convert_to_numpy(block.conv1.kernel) != ops.convert_to_numpy(block.conv2.kernel)).any()


def test_layer_normalization_follows_the_channels():
    block = ResidualBlock(4, normalization="layer", data_format="channels_first")
    block.build((None, 3, 6, 5))
    assert tuple(block.norm1.gamma.shape) == (4,)


def test_parts_compute_in_the_precision_of_the_block():
    norm = keras.layers.BatchNormalization(momentum=0.9)
    block = ResidualBlock(4, normalization=norm, squeeze_excite=0.5, dtype="mixed_bfloat16")
    block.build((None, 6, 5, 4))
    assert {layer.compute_dtype for layer in (block.conv1, block.norm1, block.excitation, block.conv2)} == {"bfloat16"}
