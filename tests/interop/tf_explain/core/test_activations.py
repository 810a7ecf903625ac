"""Activations: all channels of all samples in one grid, on one scale."""

import keras
import numpy as np
import pytest

from keras_arch.interop.tf_explain.core.activations import ExtractActivations


def test_tiles_are_the_channels_of_each_sample_on_one_scale(net, images):
    maps = keras.ops.convert_to_numpy(net.get_layer("conv")(images))  # (3, 6, 6, 5)
    low, high = min(maps.min(), 0), maps.max()
    grid = ExtractActivations().explain((images, None), net, ["conv"])
    assert grid.shape == (4 * 6, 4 * 6)
    for sample in range(3):
        for channel in range(5):
            row, column = divmod(sample * 5 + channel, 4)
            tile = grid[6 * row : 6 * row + 6, 6 * column : 6 * column + 6].astype(int)
            want = (maps[sample, ..., channel] - low) / (high - low) * 255
            assert np.abs(tile - want).max() < 1.01
    np.testing.assert_array_equal(ExtractActivations(batch_size=1).explain((images, None), net, ["conv"]), grid)


def test_a_layer_inside_a_nested_model_is_reached(images):
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="deep")], name="inner")
    model = keras.Sequential([keras.Input((8, 8, 3)), inner, keras.layers.Flatten()])
    assert ExtractActivations().explain((images, None), model, ["inner/deep"]).shape == (18, 18)


def test_one_layer_with_positions_is_asked_for(net, images):
    with pytest.raises(ValueError, match="layers_name must name one layer"):
        ExtractActivations().explain((images, None), net, ["conv", "conv"])
    with pytest.raises(ValueError, match="layers_name must name a layer that returns"):
        ExtractActivations().explain((images, None), net, [net.layers[-1].name])


def test_a_dead_layer_is_black(images):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(1, 1, kernel_initializer="zeros", name="c")])
    assert not ExtractActivations().explain((images, None), model, ["c"]).any()


@pytest.mark.oracle
def test_the_picture_is_tf_explains(net, images, real, assert_same_picture):
    got = ExtractActivations().explain((images, None), net, ["conv"])
    assert_same_picture(got, real("ExtractActivations", (images, None), net, ["conv"]))
