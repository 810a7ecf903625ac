"""ICNR: a sub-pixel convolution starts as nearest-neighbour upsampling."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.initializers import ICNR

pytestmark = pytest.mark.backend


def integers(shape, dtype=None):
    """Small whole numbers, whose sums of products are exact."""
    return ops.convert_to_tensor(np.random.default_rng(1).integers(-4, 5, shape), dtype=dtype)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_shuffled_output_is_the_upsampled_convolution(rng, scale, channels):
    x = ops.convert_to_tensor(rng.integers(-3, 4, (2, 5, 4, 3)).astype("float32"))
    kernel = ICNR(scale, integers)((3, 3, 3, channels * scale**2))
    got = ops.depth_to_space(ops.conv(x, kernel, padding="same"), scale)
    plain = ops.conv(x, integers((3, 3, 3, channels), "float32"), padding="same")
    expected = keras.layers.UpSampling2D(scale)(plain)
    assert float(ops.max(ops.abs(plain))) > 0
    np.testing.assert_array_equal(ops.convert_to_numpy(got), ops.convert_to_numpy(expected))


def test_each_order_is_that_of_a_channels_first_shuffle():
    """Keras 3.15 reads channels as TensorFlow does there, or as PyTorch does, depending on the backend."""
    fits = "DCR" if keras.backend.backend() == "tensorflow" else "CRD"
    for order in ("DCR", "CRD"):
        kernel = ICNR(2, integers, order)((1, 1, 1, 12))  # each filter is one number
        image = ops.reshape(kernel, (1, 12, 1, 1))
        blocks = ops.convert_to_numpy(ops.depth_to_space(image, 2, data_format="channels_first"))  # (1, 3, 2, 2)
        assert len(np.unique(blocks)) > 1
        assert (np.ptp(blocks, axis=(2, 3)).max() == 0) == (order == fits)


@pytest.mark.oracle
def test_the_order_crd_is_that_of_torch(rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    x = torch.from_numpy(rng.integers(-3, 4, (1, 2, 4, 4)).astype("float32"))

    def conv(kernel):  # (3, 3, C, F) -> (F, C, 3, 3)
        weight = torch.from_numpy(np.ascontiguousarray(np.transpose(ops.convert_to_numpy(kernel), (3, 2, 0, 1))))
        return torch.nn.functional.conv2d(x, weight)

    shuffled = torch.pixel_shuffle(conv(ICNR(3, integers, "CRD")((3, 3, 2, 18))), 3)
    plain = conv(integers((3, 3, 2, 2), "float32"))
    np.testing.assert_array_equal(shuffled, torch.nn.functional.interpolate(plain, scale_factor=3, mode="nearest"))


@pytest.mark.parametrize("shape", [(3, 2, 6), (2, 3, 1, 8), (1, 2, 2, 1, 16)])
def test_every_rank_repeats_its_base_kernel(shape):
    copies = 2 ** (len(shape) - 2)
    base = ops.convert_to_numpy(integers((*shape[:-1], shape[-1] // copies)))
    kernel = ops.convert_to_numpy(ICNR(2, integers)(shape))
    np.testing.assert_array_equal(kernel, np.concatenate([base] * copies, axis=-1))
    kernel = ops.convert_to_numpy(ICNR(2, integers, "CRD")(shape))
    np.testing.assert_array_equal(kernel, np.repeat(base, copies, axis=-1))


def test_the_base_initializer_sees_the_fan_of_the_upsampled_image():
    seen = []

    def base(shape, dtype=None):
        seen.append((shape, dtype))
        return ops.ones(shape, dtype)

    ICNR(2, base)((3, 3, 5, 8), "bfloat16")
    assert seen == [((3, 3, 5, 2), "float32")]


def test_our_names_and_seeds_reach_the_base_initializer():
    assert type(ICNR(2, "delta_orthogonal").initializer).__name__ == "DeltaOrthogonal"
    first = keras.initializers.HeNormal()
    a, b = (ops.convert_to_numpy(ICNR(2, first)((3, 3, 2, 4))) for _ in range(2))
    assert np.abs(a - b).max() > 1e-3  # copies of one unseeded object draw seeds of their own


@pytest.mark.parametrize("scale", [1, 0, -2, 2.0, None])
def test_a_scale_that_does_not_enlarge_raises(scale):
    with pytest.raises(ValueError, match="scale must be an integer >= 2"):
        ICNR(scale)


def test_channels_that_do_not_divide_raise():
    with pytest.raises(ValueError, match=r"divisible by 9.*received shape=\(3, 3, 4, 10\). Use 18 filters"):
        ICNR(3)((3, 3, 4, 10))
    with pytest.raises(ValueError, match="rank 3 to 5"):
        ICNR(2)((4, 4))
    with pytest.raises(ValueError, match="initializer must draw weights"):
        ICNR(2, None)
    with pytest.raises(ValueError, match="order must be one of 'CRD', 'DCR'"):
        ICNR(2, order="NCHW")
