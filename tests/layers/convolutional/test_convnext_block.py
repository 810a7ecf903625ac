import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import ConvNeXtBlock

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def test_equals_the_block_of_convnext_tiny(rng):
    model = keras.applications.ConvNeXtTiny(weights=None, include_top=False, input_shape=(32, 32, 3))
    stage = next(layer.name for layer in model.layers if layer.name.endswith("stage_0_block_0_depthwise_conv"))
    prefix = stage.removesuffix("0_depthwise_conv")
    entry = model.get_layer(f"{prefix}0_depthwise_conv").input
    end = model.get_layer(f"{prefix}1_depthwise_conv").input
    block = ConvNeXtBlock()
    block.build(entry.shape)
    names = {
        "depthwise_conv": block.depthwise_conv,
        "layernorm": block.norm,
        "pointwise_conv_1": block.expand_dense,
        "pointwise_conv_2": block.project_dense,
        "layer_scale": block.scale,
    }
    for name, layer in names.items():
        source = model.get_layer(f"{prefix}0_{name}")
        source.set_weights([rng.normal(0, 0.2, weight.shape) for weight in source.get_weights()])
        given = source.get_weights()
        if name == "depthwise_conv":  # there a convolution in as many groups as channels: (7, 7, 1, C)
            given[0] = given[0].transpose(0, 1, 3, 2)
        layer.set_weights(given)
    x = rng.standard_normal((2, *entry.shape[1:])).astype("float32")
    np.testing.assert_allclose(values(block(x)), values(keras.Model(entry, end)(x)), rtol=1e-3, atol=1e-4)


@pytest.mark.oracle
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_version_two_equals_torch(data_format, rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    functional = torch.nn.functional
    x = rng.standard_normal((2, 6, 5, 4)).astype("float32")
    block = ConvNeXtBlock(global_response=True, layer_scale=None, data_format=data_format)
    given = x if data_format == "channels_last" else x.transpose(0, 3, 1, 2)
    block.build(given.shape)
    block.set_weights([rng.normal(0, 0.5, weight.shape) for weight in block.get_weights()])
    kernel, *rest = (torch.tensor(weight) for weight in block.get_weights())
    bias, gamma, beta, first, first_bias, scale, shift, second, second_bias = rest
    y = functional.conv2d(torch.tensor(x).permute(0, 3, 1, 2), kernel.permute(2, 3, 0, 1), bias, padding=3, groups=4)
    y = functional.layer_norm(y.permute(0, 2, 3, 1), (4,), gamma, beta, 1e-6)
    y = functional.gelu(y @ first + first_bias)
    norms = torch.linalg.vector_norm(y, dim=(1, 2), keepdim=True)
    y = scale * (y * norms / (norms.mean(dim=-1, keepdim=True) + 1e-6)) + shift + y
    wanted = x + (y @ second + second_bias).numpy()
    got = values(block(given))
    got = got if data_format == "channels_last" else got.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


def test_it_starts_close_to_the_identity(rng):
    x = rng.standard_normal((2, 6, 5, 4)).astype("float32")
    np.testing.assert_allclose(values(ConvNeXtBlock()(x)), x, atol=1e-5)


def test_stochastic_depth_acts_in_training_only(rng):
    x = rng.standard_normal((16, 3, 3, 2)).astype("float32")
    block = ConvNeXtBlock(kernel_size=3, layer_scale=None, stochastic_depth=0.5, seed=1, kernel_initializer="he_normal")
    branch, got = values(block(x)) - x, values(block(x, training=True)) - x
    dropped = np.abs(got).max(axis=(1, 2, 3)) == 0
    assert 0 < dropped.sum() < 16
    np.testing.assert_allclose(got[~dropped], 2 * branch[~dropped], rtol=1e-3, atol=1e-4)


def test_lora_reaches_the_pointwise_layers(rng):
    model = keras.Sequential([keras.Input((6, 5, 4)), ConvNeXtBlock(layer_scale=None)])
    x = rng.standard_normal((2, 6, 5, 4)).astype("float32")
    before = values(model(x))
    model.layers[0].expand_dense.enable_lora(2)
    np.testing.assert_allclose(values(model(x)), before, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 0}, "kernel_size must be an integer >= 1"),
        ({"expansion": 1.5}, "expansion must be an integer"),
        ({"layer_scale": "1"}, "layer_scale must be a number"),
        ({"stochastic_depth": 1.0}, "stochastic_depth must be a number"),
        ({"epsilon": 0}, "epsilon must be a number"),
        ({"data_format": "NCHW"}, "data_format must be one of"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvNeXtBlock(**arguments)
