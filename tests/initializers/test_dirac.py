"""Dirac kernels: convolutions that hand their channels on, to the bit."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.initializers import Dirac

pytestmark = pytest.mark.backend

L = keras.layers


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("layer", [L.Conv1D, L.Conv2D, L.Conv3D])
def test_a_convolution_is_the_identity(rng, layer, size):
    rank = int(layer.__name__[4])
    x = rng.normal(size=(2, *(5,) * rank, 3)).astype("float32")
    got = layer(3, size, padding="same", kernel_initializer=Dirac())(x)
    np.testing.assert_array_equal(ops.convert_to_numpy(got), x)


def test_each_group_hands_on_its_own_channels(rng):
    x = rng.normal(size=(1, 6, 4)).astype("float32")
    kernel = Dirac(groups=2)((3, 2, 6))  # 2 groups of 2 channels and 3 filters
    if keras.backend.backend() == "tensorflow":  # which has no grouped convolution on a CPU without XLA
        halves = zip(ops.split(ops.convert_to_tensor(x), 2, axis=-1), ops.split(kernel, 2, axis=-1), strict=True)
        got = ops.concatenate([ops.conv(half, part, padding="same") for half, part in halves], axis=-1)
    else:
        got = L.Conv1D(6, 3, padding="same", groups=2, kernel_initializer=Dirac(groups=2))(x)
    expected = np.zeros((1, 6, 6), "float32")
    expected[..., [0, 1, 3, 4]] = x
    np.testing.assert_array_equal(ops.convert_to_numpy(got), expected)


@pytest.mark.parametrize(("layer", "rank"), [(L.DepthwiseConv1D, 1), (L.DepthwiseConv2D, 2)])
def test_a_depthwise_convolution_hands_each_channel_to_its_first_filter(rng, layer, rank):
    x = rng.normal(size=(1, *(5,) * rank, 3)).astype("float32")
    depthwise = layer(3, depth_multiplier=2, padding="same", depthwise_initializer=Dirac("depthwise"))
    got = ops.convert_to_numpy(depthwise(x))
    np.testing.assert_array_equal(got[..., ::2], x)
    np.testing.assert_array_equal(got[..., 1::2], 0)


@pytest.mark.parametrize(("channels", "filters"), [(2, 5), (5, 2)])
def test_other_widths_hand_on_what_there_is_room_for(channels, filters):
    kernel = ops.convert_to_numpy(Dirac()((3, channels, filters)))
    np.testing.assert_array_equal(kernel[1], np.eye(channels, filters))
    assert kernel.sum() == 2


@pytest.mark.parametrize("groups", [0, -1, 1.0, True, "depth", None])
def test_unknown_groups_raise(groups):
    with pytest.raises(ValueError, match="groups must be an integer >= 1"):
        Dirac(groups)


def test_shapes_that_do_not_fit_raise():
    with pytest.raises(ValueError, match=r"filters divisible by groups=3; received shape=\(3, 2, 4\)"):
        Dirac(groups=3)((3, 2, 4))
    with pytest.raises(ValueError, match="kernel of rank 3 to 5.*identity"):
        Dirac()((3, 3))


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(3, 2, 6), (3, 5, 4, 4), (1, 3, 5, 2, 2), (3, 3, 2, 6)])
@pytest.mark.parametrize("groups", [1, 2])
def test_kernels_are_those_of_torch(shape, groups):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    *spatial, channels, filters = shape
    theirs = torch.nn.init.dirac_(torch.empty(filters, channels, *spatial), groups).numpy()
    ours = ops.convert_to_numpy(Dirac(groups)(shape))
    np.testing.assert_array_equal(np.moveaxis(ours, (-1, -2), (0, 1)), theirs)
