"""The scales that batch normalization gives to channels, as scores of the kernels that make them."""

import keras
import numpy as np
import pytest
from keras import layers as L

import keras_arch as ka
from keras_arch.compression import prune, shrink
from keras_arch.compression.pruning.criteria import BatchNormScale

pytestmark = pytest.mark.backend


def model():
    inputs = keras.Input((6, 6, 3))
    x = L.Conv2D(4, 3, padding="same", name="stem")(inputs)
    trunk = L.BatchNormalization(name="stem_norm")(x)
    x = L.ReLU()(L.BatchNormalization(name="inner_norm")(L.Conv2DTranspose(5, 1, name="inner")(trunk)))
    x = L.Add()([trunk, L.BatchNormalization(name="back_norm")(L.Conv2D(4, 1, name="back")(x))])
    return keras.Model(inputs, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(x)))


def test_scores_are_the_gammas_of_what_reads_the_filters(rng):
    made = model()
    for name in ("stem_norm", "inner_norm", "back_norm"):
        gamma = made.get_layer(name).gamma
        gamma.assign(rng.normal(size=gamma.shape))
    stem, inner, back = (np.abs(made.get_layer(f"{name}_norm").gamma.numpy()) for name in ("stem", "inner", "back"))
    kernels = {name: made.get_layer(name).kernel for name in ("stem", "inner", "back")}
    score = BatchNormScale().for_model(made, list(kernels.values()))
    joined = (stem + back) / 2  # an Add makes one channel of both
    np.testing.assert_allclose(score(kernels["stem"]), np.broadcast_to(joined, (3, 3, 3, 4)), rtol=1e-6)
    np.testing.assert_allclose(score(kernels["back"]), np.broadcast_to(joined, (1, 1, 5, 4)), rtol=1e-6)
    np.testing.assert_allclose(score(kernels["inner"]), np.broadcast_to(inner[:, None], (1, 1, 5, 4)), rtol=1e-6)


def test_the_channels_of_the_smallest_scales_go(rng):
    made = model()
    scales = rng.permutation([0.1, 0.2, 0.3, 4.0, 5.0]).astype("float32")
    made.get_layer("inner_norm").gamma.assign(scales)
    prune(made, 0.6, criterion="batch_norm_scale", pattern="channel", targets=["inner"])
    np.testing.assert_array_equal(made.get_layer("inner_norm").gamma.numpy(), np.where(scales > 1, scales, 0))
    assert shrink(made).get_layer("inner").filters == 2


def test_a_filter_without_a_scale_is_refused():
    made = model()
    with pytest.raises(ValueError, match=r"needs a BatchNormalization with a gamma .* received head/kernel"):
        prune(made, 0.5, criterion="batch_norm_scale")
    inputs = keras.Input((4,))
    x = L.BatchNormalization(scale=False)(L.Dense(3, name="body")(inputs))
    bare = keras.Model(inputs, L.Dense(1)(x))
    with pytest.raises(ValueError, match="received body/kernel without one"):
        prune(bare, 0.5, criterion="batch_norm_scale", targets=["body"])


@pytest.mark.parametrize("groups", [1, 2])
def test_scales_inside_blocks_count_too(rng, groups):
    """Of the normalizations that follow the two convolutions; with groups one number for both of a whole group."""
    inputs = keras.Input((6, 6, 3))
    block = ka.layers.BottleneckBlock(8, width=4, groups=groups, name="block")
    made = keras.Model(inputs, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(block(inputs))))
    first, second = np.array([0.1, -3.0, 2.0, -0.2], "float32"), np.array([1.0, 2.0, 0.1, -0.1], "float32")
    block.norm1.gamma.assign(first)
    block.norm2.gamma.assign(second)
    score = BatchNormScale().for_model(made, [block.conv1.kernel, block.conv2.kernel])
    expected = [np.abs(first), np.abs(second)]
    if groups == 2:
        halves = np.abs([first, second]).reshape(2, 2, 2).mean(axis=(0, 2))
        expected = [np.repeat(halves, 2)] * 2
    for conv, scales in zip((block.conv1, block.conv2), expected, strict=True):
        np.testing.assert_allclose(score(conv.kernel), np.broadcast_to(scales, conv.kernel.shape), rtol=1e-6)
    prune(made, 0.5, criterion="batch_norm_scale", pattern="channel")
    left = shrink(made).get_layer("block")
    assert (left.width, left.hidden_filters or 4) == (2, 2)
    assert left.groups == (1 if groups == 2 else groups)
