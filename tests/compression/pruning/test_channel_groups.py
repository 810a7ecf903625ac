import keras
import numpy as np
import pytest

import keras_arch as ka
from keras_arch.compression.pruning.channel_groups import ChannelGroups, Slices, channels, heads
from keras_arch.compression.scope import select

L = keras.layers


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_slices_sum_and_mark_along_their_axis(rng, axis):
    scores = rng.random((2, 3, 4))
    size = scores.shape[axis]
    slices = Slices(keras.Variable(scores), axis, np.arange(size)[::-1].copy())
    others = tuple(number for number in range(3) if number != axis % 3)
    np.testing.assert_allclose(slices.sums(scores), scores.sum(axis=others))
    gone = np.arange(size) == 0
    mark = np.moveaxis(slices.mark(gone), axis, 0)
    assert mark[-1].all()
    assert not mark[:-1].any()


def model():
    inputs = keras.Input((6, 8))
    x = ka.layers.TransformerEncoderBlock(2, 12, name="block")(inputs)
    x = L.Dense(5, name="narrow")(x)
    return keras.Model(inputs, L.Dense(3, name="head")(x))


def test_sets_are_made_by_the_same_kernels():
    made = model()
    groups = ChannelGroups(channels(made), select(made), named=False)
    assert [target.path for target in groups.targets] == [
        "block/intermediate_dense",
        "block/output_dense",
        "narrow",
    ]
    assert sorted(len(each) for each in groups.sets) == [5, 12]
    names = [variable.name for variable in groups.variables]
    assert names == ["kernel", "kernel", "kernel", "bias", "bias"]  # of the features of the block and of "narrow"


def test_scores_of_all_makers_count():
    made = model()
    groups = ChannelGroups(channels(made), select(made), named=False)
    scores = [np.ones(target.variable.shape) for target in groups.targets]
    scores[0][:, 3] = 0.5  # written weakly
    scores[1][7] = 0.1  # read weakly
    marks = groups.marks(scores, 2 / 12, "layer")
    assert np.flatnonzero(marks[0].all(axis=0)).tolist() == [3, 7]
    assert np.flatnonzero(marks[1].all(axis=1)).tolist() == [3, 7]


def test_heads_are_found_once():
    made = model()
    found = heads(made)
    assert len(found.fixed) == 2
    assert len(found.makers) == 4
    assert ChannelGroups(found, select(made, ["block"]), named=True).targets[0].path.startswith("block/attention")


def test_weights_that_are_gone_along_another_axis_say_nothing():
    """A row of a kernel that went with a channel that it reads leaves the ranking of its columns as it is."""
    block = ka.layers.BottleneckBlock(4, width=4, activation="sigmoid", name="block")
    inputs = keras.Input((6, 6, 3))
    made = keras.Model(inputs, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(block(inputs))))
    groups = ChannelGroups(channels(made), select(made), named=False)
    assert [target.path for target in groups.targets] == ["block/conv1", "block/conv2"]
    scores = [np.ones(target.variable.shape) for target in groups.targets]
    scores[0][..., 1], scores[1][:, :, 1] = -np.inf, -np.inf  # channel 1 of the first is gone
    scores[1][:, :, [0, 2, 3], 3] = 0.5
    marks = groups.marks(scores, 1 / 4, "layer")
    assert np.flatnonzero(marks[0].all(axis=(0, 1, 2))).tolist() == [1]
    assert np.flatnonzero(marks[1].all(axis=(0, 1, 2))).tolist() == [3]
    assert np.flatnonzero(marks[1].all(axis=(0, 1, 3))).tolist() == [1]
