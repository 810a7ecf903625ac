import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import BottleneckBlock

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def copied(model, prefix, parts, rng):
    """Give a model's layers random weights and copy them to ours; norms get positive ones, as variances are."""
    for name, layer in parts.items():
        source = model.get_layer(f"{prefix}_{name}")
        norm = isinstance(source, keras.layers.BatchNormalization)
        source.set_weights(
            [rng.uniform(0.5, 1.5, w.shape) if norm else rng.normal(0, 0.05, w.shape) for w in source.get_weights()]
        )
        layer.set_weights(source.get_weights())


def test_equals_the_blocks_of_resnet50(rng):
    model = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(32, 32, 3))
    norm = keras.layers.BatchNormalization(epsilon=1.001e-5)
    for before, prefix, filters, strides in (
        ("conv2_block1_out", "conv2_block2", 256, 1),
        ("conv2_block3_out", "conv3_block1", 512, 2),
    ):
        entry, end = model.get_layer(before).output, model.get_layer(f"{prefix}_out").output
        block = BottleneckBlock(filters, strides=strides, stride_place="first", use_bias=True, normalization=norm)
        block.build(entry.shape)
        parts = {f"{place}_conv": getattr(block, f"conv{place}") for place in (1, 2, 3)}
        parts |= {f"{place}_bn": getattr(block, f"norm{place}") for place in (1, 2, 3)}
        if strides == 2:
            parts |= {"0_conv": block.shortcut_conv, "0_bn": block.shortcut_norm}
        copied(model, prefix, parts, rng)
        assert block.count_params() == sum(model.get_layer(f"{prefix}_{name}").count_params() for name in parts)
        x = rng.standard_normal((2, *entry.shape[1:])).astype("float32")
        peer = keras.Model(entry, end)
        for training in (False, True):
            got, wanted = values(block(x, training=training)), values(peer(x, training=training))
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.oracle
@pytest.mark.parametrize("stride_place", ["middle", "first"])
def test_grouped_bottleneck_equals_torch(stride_place, rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    x = rng.standard_normal((2, 6, 8, 4)).astype("float32")
    block = BottleneckBlock(
        8, width=6, groups=3, strides=2, stride_place=stride_place, padding="symmetric", normalization=None
    )
    block.build(x.shape)

    def convolve(images, layer, strides=1, groups=1):
        kernel = torch.tensor(values(layer.kernel).transpose(3, 2, 0, 1))
        padding = kernel.shape[-1] // 2
        return torch.nn.functional.conv2d(images, kernel, stride=strides, padding=padding, groups=groups)

    strides = (1, 2) if stride_place == "middle" else (2, 1)
    images = torch.tensor(x.transpose(0, 3, 1, 2))
    branch = torch.relu(convolve(images, block.conv1, strides[0]))
    branch = torch.relu(convolve(branch, block.conv2, strides[1], groups=3))
    wanted = torch.relu(convolve(branch, block.conv3) + convolve(images, block.shortcut_conv, 2))
    got = values(block(x)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_pre_activation_normalizes_before_every_convolution():
    block = BottleneckBlock(8, norm_placement="pre")
    block.build((None, None, None, 8))
    sizes = [norm.gamma.shape[0] for norm in (block.norm1, block.norm2, block.norm3)]
    assert sizes == [8, 2, 2]
    assert not hasattr(block, "shortcut_conv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 6}, "filters must be a multiple of 4 where no width is given"),
        ({"filters": 8, "width": 6, "groups": 4}, "groups must divide the width 6"),
        ({"filters": 8, "stride_place": "last"}, "stride_place must be one of"),
        ({"filters": 8, "width": 0}, "width must be an integer >= 1"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        BottleneckBlock(**arguments)
