import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import InvertedResidualBlock, SqueezeExcite

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def copy_random(model, names, rng):
    """Random weights for a model's layer and for ours, which may hold a kernel of 1 x 1 pixels as a matrix."""
    for name, layer in names.items():
        source = model.get_layer(name)
        norm = isinstance(source, keras.layers.BatchNormalization)
        source.set_weights(
            [rng.uniform(0.5, 1.5, w.shape) if norm else rng.normal(0, 0.2, w.shape) for w in source.get_weights()]
        )
        given = source.get_weights()
        layer.set_weights([w.reshape(own.shape) for w, own in zip(given, layer.get_weights(), strict=True)])


def assert_equal(block, model, start, end, rng):
    entry = model.get_layer(start).output
    peer = keras.Model(entry, model.get_layer(end).output)
    x = rng.standard_normal((2, *entry.shape[1:])).astype("float32")
    np.testing.assert_allclose(values(block(x)), values(peer(x)), rtol=1e-4, atol=1e-4)


def test_equals_the_blocks_of_mobilenet_v2(rng):
    model = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35)
    norm = keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.999)
    for start, prefix, end, strides in (
        ("expanded_conv_project_BN", "block_1", "block_1_project_BN", 2),
        ("block_1_project_BN", "block_2", "block_2_add", 1),
    ):
        block = InvertedResidualBlock(8, strides=strides, normalization=norm)
        block.build(model.get_layer(start).output.shape)
        parts = {"expand": "expand_conv", "expand_BN": "expand_norm", "depthwise": "depthwise_conv"}
        parts |= {"depthwise_BN": "depthwise_norm", "project": "project_conv", "project_BN": "project_norm"}
        copy_random(model, {f"{prefix}_{name}": getattr(block, own) for name, own in parts.items()}, rng)
        assert_equal(block, model, start, end, rng)


def test_equals_the_blocks_of_efficientnet(rng):
    model = keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=(32, 32, 3))
    for start, prefix, end, filters, kernel_size, strides in (
        ("block1a_project_bn", "block2a", "block2a_project_bn", 24, 3, 2),
        ("block3a_project_bn", "block3b", "block3b_add", 40, 5, 1),
    ):
        block = InvertedResidualBlock(
            filters, 6, kernel_size, strides, activation="silu", squeeze_excite=0.25, stochastic_depth=0.1
        )
        block.build(model.get_layer(start).output.shape)
        parts = {
            "expand_conv": block.expand_conv,
            "expand_bn": block.expand_norm,
            "dwconv": block.depthwise_conv,
            "bn": block.depthwise_norm,
            "se_reduce": block.excitation.squeeze_dense,
            "se_expand": block.excitation.excite_dense,
            "project_conv": block.project_conv,
            "project_bn": block.project_norm,
        }
        copy_random(model, {f"{prefix}_{name}": layer for name, layer in parts.items()}, rng)
        assert_equal(block, model, start, end, rng)


@pytest.mark.parametrize(("filters", "strides", "adds"), [(4, 1, True), (4, 2, False), (5, 1, False)])
def test_the_input_is_added_where_the_shapes_allow_it(filters, strides, adds, rng):
    x = rng.standard_normal((2, 6, 5, 4)).astype("float32")
    block = InvertedResidualBlock(filters, strides=strides, normalization=None)
    block.build(x.shape)
    block.project_conv.set_weights([np.zeros(block.project_conv.kernel.shape)])
    wanted = x if adds else np.zeros(block.compute_output_shape(x.shape))
    np.testing.assert_array_equal(values(block(x)), wanted)


def test_a_ratio_of_one_has_no_expansion_and_others_are_rounded():
    block = InvertedResidualBlock(4, expand_ratio=1)
    block.build((None, 6, 5, 4))
    assert not hasattr(block, "expand_conv")
    wider = InvertedResidualBlock(4, expand_ratio=3.67)
    wider.build((None, 6, 5, 24))
    assert wider.expand_conv.filters == 88


def test_a_given_excitation_sees_the_wide_channels():
    block = InvertedResidualBlock(4, squeeze_excite=SqueezeExcite(0.25, divisor=8, gate="hard_sigmoid"))
    block.build((None, None, None, 16))
    assert block.squeeze_excite.squeeze_dense.units == 24  # of 96


def test_channels_first_equals_channels_last(rng):
    x = rng.standard_normal((2, 6, 5, 4)).astype("float32")
    options = {"strides": 2, "squeeze_excite": 0.5, "kernel_size": 5}
    last, first = InvertedResidualBlock(6, **options), InvertedResidualBlock(6, data_format="channels_first", **options)
    wanted = values(last(x))
    first.build((2, 4, 6, 5))
    first.set_weights(last.get_weights())
    got = values(first(x.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(got.transpose(0, 2, 3, 1), wanted, rtol=1e-4, atol=1e-5)


def test_a_ratio_below_one_is_refused():
    with pytest.raises(ValueError, match="expand_ratio must be a number"):
        InvertedResidualBlock(4, expand_ratio=0.5)
