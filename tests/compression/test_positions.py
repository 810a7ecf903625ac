"""Counts of positions, by hand and against a count of products in a compiled graph."""

import keras
import numpy as np
import pytest

import keras_arch as ka
from keras_arch.compression import sparsity_report
from keras_arch.compression.positions import positions_of

pytestmark = pytest.mark.backend
L = keras.layers

IMAGE, SERIES = (8, 6, 3), (7, 4)
CASES = [
    (lambda: L.Dense(5), (4,), [1]),
    (lambda: L.Dense(5), SERIES, [7]),
    (lambda: L.Conv1D(5, 3), SERIES, [5]),
    (lambda: L.Conv2D(5, 3, strides=2, padding="same"), IMAGE, [4 * 3]),
    (lambda: L.Conv3D(2, 2), (4, 4, 4, 1), [27]),
    (lambda: L.Conv2DTranspose(5, 3, strides=2), IMAGE, [8 * 6]),
    (lambda: L.DepthwiseConv2D(3, depth_multiplier=2), IMAGE, [6 * 4]),
    (lambda: L.SeparableConv2D(5, 3), IMAGE, [6 * 4, 6 * 4]),
    (lambda: L.LSTM(5), SERIES, [7, 7]),
    (lambda: L.Bidirectional(L.GRU(5)), SERIES, [7] * 6),  # the biases of a GRU have two rows
    (lambda: L.EinsumDense("abc,cde->abde", (None, 2, 5)), SERIES, [7]),
    (lambda: L.EinsumDense("...x,xy->...y", 5), SERIES, [7]),
    (lambda: L.TimeDistributed(L.Dense(5)), SERIES, [7]),
    (lambda: L.Embedding(10, 4), (7,), []),
    (lambda: ka.layers.TransformerEncoderBlock(2, 6), SERIES, [7] * 9),  # biases of heads have two axes
    (lambda: ka.layers.MinGRU(3), SERIES, [7, 7]),
]


@pytest.mark.parametrize(("make", "shape", "expected"), CASES)
def test_each_kernel_is_used_as_often_as_it_should(make, shape, expected):
    model = keras.Sequential([keras.Input(shape), make()])
    before = [np.array(weight) for weight in model.get_weights()]
    counts = positions_of(model)
    found = [counts[id(weight)] for weight in model.weights if id(weight) in counts and len(weight.shape) > 1]
    assert found == expected
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_shared_layer_counts_each_call():
    inputs, shared = keras.Input((4,)), L.Dense(4)
    model = keras.Model(inputs, shared(shared(inputs)))
    assert positions_of(model) == {id(shared.kernel): 2}


def test_unknown_axes_count_as_one():
    model = keras.Sequential([keras.Input((None, 4)), L.Dense(3)])
    assert positions_of(model) == {id(model.layers[0].kernel): 1}


def test_a_subclass_is_counted_by_the_shape_it_was_built_with():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Own()
    assert positions_of(model) == {}
    model(np.ones((3, 7, 4), "float32"))
    assert positions_of(model) == {id(model.dense.kernel): 7}


def test_state_is_left_alone():
    inputs = keras.Input(batch_shape=(1, 3, 4))
    x = L.LSTM(5, stateful=True, name="memory", return_sequences=True)(inputs)
    model = keras.Model(inputs, L.BatchNormalization(name="norm")(x))
    model(np.ones((1, 3, 4), "float32"))
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]
    assert len(positions_of(model)) >= 2
    for one, other in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(one, keras.ops.convert_to_numpy(other))


def test_resnet_has_the_operations_of_the_literature():
    """He et al. 2016, table 1: 3.8e9 multiply-adds for the 50 layers at 224 x 224; here twice, with the shortcuts."""
    model = keras.applications.ResNet50(weights=None)
    report = sparsity_report(model)
    assert report.flops == pytest.approx(2 * 3.86e9, rel=0.01)
    assert 0.999 * report.flops < report.flops_left <= report.flops
