import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)

import tensorflow as tf

from keras_arch.ops.backend.tensorflow.tiles import Tiles
from keras_arch.ops.backend.tensorflow.unrolled_attention import BiasGradient, Overlapping, unrolled


@pytest.mark.parametrize("ranges", [[(0, 2), (0, 4), (0, 6)], [(1, 3), (2, 5), (5, 6)], [(0, 6), (0, 6)], [(2, 6)]])
def test_overlapping_parts_add_up(ranges, rng):
    total, expected = Overlapping(1), np.zeros((2, 6))
    for low, high in ranges:
        part = rng.standard_normal((2, high - low))
        total.add(tf.constant(part), low, high)
        expected[:, low:high] += part
    np.testing.assert_allclose(total.whole(), expected)


@pytest.mark.parametrize("shape", [(1, 1, 5, 7), (2, 6, 1, 7), (2, 1, 5, 1), (1, 6, 1, 1)])
def test_gradient_of_a_bias_sums_over_what_it_was_spread_over(shape, rng):
    scores = rng.standard_normal((2, 2, 3, 5, 7)).astype("float32")
    scores[:, :, :, :2, 4:] = 0  # what the first tile leaves out
    gradient = BiasGradient(Tiles(5, 7, 2, 3), tf.zeros(shape))
    for start, stop, low, high in ((0, 2, 0, 4), (2, 5, 0, 7)):
        gradient.add(tf.constant(scores[:, :, :, start:stop, low:high]), (start, stop, low, high))
    axes = tuple(axis for axis in range(4) if shape[axis] == 1)
    np.testing.assert_allclose(gradient.whole(), scores.reshape(2, 6, 5, 7).sum(axes, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("by_head", [False, True])
def test_one_tile_or_many_give_the_same(rng, by_head):
    query, key, value = (rng.standard_normal((1, 2, *s)).astype("float32") for s in ((1, 8, 4), (8, 4), (8, 4)))
    rest = (tf.zeros((1, 1, 1, 1)), tf.zeros((1, 2, 1, 1, 1)))
    one, many = (
        unrolled(Tiles(8, 8, 2, 1, causal=True), rows, heads, has_bias=False, has_sinks=False)(query, key, value, *rest)
        for rows, heads in ((8, False), (3, by_head))
    )
    np.testing.assert_allclose(one, many, atol=1e-6)
