"""Layers with a kernel as linear maps."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.explain.relevance.maps import has_kernel, is_convolution, linear_maps, merged, reading, scale_and_shift

L = keras.layers
IMAGES, STEPS = (2, 6, 6, 3), (2, 5, 3)
LAYERS = [
    (lambda **o: L.Dense(4, **o), STEPS),
    (lambda **o: L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", **o), STEPS),
    (lambda **o: L.Conv1D(4, 3, **o), STEPS),
    (lambda **o: L.Conv2D(4, 3, padding="same", dilation_rate=2, **o), IMAGES),
    (lambda **o: L.Conv3D(2, 2, **o), (2, 3, 3, 3, 2)),
    (lambda **o: L.DepthwiseConv2D(3, depth_multiplier=2, **o), IMAGES),
    (lambda **o: L.DepthwiseConv1D(3, **o), STEPS),
    (lambda **o: L.SeparableConv2D(4, 3, strides=2, **o), IMAGES),
    (lambda **o: L.SeparableConv1D(4, 3, padding="same", **o), STEPS),
    (lambda **o: L.Conv2DTranspose(4, 3, strides=2, **o), IMAGES),
    (lambda **o: L.Conv1DTranspose(4, 3, **o), STEPS),
]


@pytest.mark.backend
@pytest.mark.parametrize("activation", [None, "tanh"])
@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_maps_make_up_the_layer(rng, make, shape, activation):
    layer = make(activation=activation, bias_initializer="random_normal")
    x = ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))
    want = ops.convert_to_numpy(layer(x))
    assert has_kernel(layer)
    assert is_convolution(layer) == ("Conv" in type(layer).__name__)
    y = x
    for make_map in linear_maps(layer, layer.call, (), {}):
        linear, result = make_map(y)
        total = linear.total() if linear.bias is None else linear.total() + linear.bias
        np.testing.assert_allclose(ops.convert_to_numpy(result), ops.convert_to_numpy(total), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            ops.convert_to_numpy(linear.positive(y) + linear.negative(y)),
            ops.convert_to_numpy(linear.plain(y)),
            rtol=1e-4,
            atol=1e-5,
        )
        y = result
    np.testing.assert_allclose(ops.convert_to_numpy(layer.activation(y)), want, rtol=1e-4, atol=1e-5)


def test_other_layers_have_no_kernel():
    cell = L.LSTMCell(2)
    cell.build((None, 3))
    embedding = L.Embedding(3, 2)
    embedding.build(None)
    assert not any(map(has_kernel, (cell, embedding, L.ReLU(), L.BatchNormalization())))


@pytest.mark.backend
def test_merging_equals_both_layers(rng):
    conv, norm = L.Conv2D(4, 3, bias_initializer="random_normal"), L.BatchNormalization()
    x = ops.convert_to_tensor(rng.normal(size=IMAGES).astype("float32"))
    y = conv(x)
    norm(y)
    for weight, value in zip(norm.weights, rng.uniform(0.3, 2, (4, 4)), strict=True):
        weight.assign(value)
    want = ops.convert_to_numpy(norm(y))
    (make,) = linear_maps(conv, conv.call, (), {})
    linear = merged(make(x)[0], *scale_and_shift(norm, y))
    np.testing.assert_allclose(ops.convert_to_numpy(linear.total() + linear.bias), want, rtol=1e-4, atol=1e-5)


def test_reading_ends_with_the_block(rng):
    dense = L.Dense(2)
    x = rng.normal(size=(1, 3)).astype("float32")
    before = ops.convert_to_numpy(dense(x))
    with reading(dense, [(dense.kernel, ops.zeros((3, 2)))]):
        assert not ops.convert_to_numpy(dense.call(x)).any()
    np.testing.assert_array_equal(ops.convert_to_numpy(dense(x)), before)
