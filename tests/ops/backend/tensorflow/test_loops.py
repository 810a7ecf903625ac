import itertools

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)

import tensorflow as tf

from keras_arch.ops.backend.tensorflow.loops import Loops
from keras_arch.ops.backend.tensorflow.tiles import Tiles


@pytest.mark.parametrize(
    ("lengths", "causal", "window"),
    list(itertools.product([(9, 9), (4, 11), (10, 5)], [False, True], [None, 1, 4])),
)
def test_loops_visit_every_tile_with_a_seen_score(lengths, causal, window):
    loops = Loops(Tiles(*lengths, 1, 1, causal=causal, window=window), rows=2, columns=3)
    lead = lengths[1] - lengths[0]
    needed = {
        (t // 2, s // 3)
        for t in range(lengths[0])
        for s in range(lengths[1])
        if not (causal and s > t + lead) and not (window and abs(t + lead - s) >= window)
    }
    for visit in (
        {(i, j) for i in range(loops.row_tiles) for j in range(*map(int, loops.columns_of(i)))},
        {(i, j) for j in range(loops.column_tiles) for i in range(*map(int, loops.rows_of(j)))},
    ):
        assert needed <= visit
        assert len(visit) <= len(needed) + loops.row_tiles + loops.column_tiles


def test_split_and_join_are_inverse(rng):
    loops = Loops(Tiles(5, 7, 2, 3), rows=2, columns=4)
    query, key = rng.standard_normal((2, 2, 3, 5, 4)), rng.standard_normal((2, 2, 7, 4))
    assert loops.split_queries(query).shape == (3, 2, 2, 3, 2, 4)
    assert loops.split_keys(key).shape == (2, 2, 2, 4, 4)
    np.testing.assert_array_equal(loops.join_queries(loops.split_queries(tf.constant(query)), 5), query)
    np.testing.assert_array_equal(loops.join_keys(loops.split_keys(tf.constant(key)), 7), key)


@pytest.mark.parametrize("shape", [(1, 1, 5, 7), (2, 6, 1, 7), (2, 1, 5, 1), (1, 6, 1, 1)])
def test_gradient_of_a_bias_sums_over_what_it_was_spread_over(shape, rng):
    loops = Loops(Tiles(5, 7, 2, 3), rows=2, columns=4)
    scores = rng.standard_normal((2, 2, 3, 6, 8)).astype("float32")  # all tiles, filled up
    scores[:, :, :, 5:], scores[..., 7:] = 0, 0
    bias = tf.zeros(shape)
    total = loops.no_bias_gradient(bias)
    for i, j in itertools.product(range(3), range(2)):
        tile = tf.constant(scores[:, :, :, 2 * i : 2 * i + 2, 4 * j : 4 * j + 4])
        total = loops.add_bias_gradient(total, bias, tile, i, j)
    whole = scores[:, :, :, :5, :7].reshape(2, 6, 5, 7)
    axes = tuple(axis for axis in range(4) if shape[axis] == 1)
    np.testing.assert_allclose(loops.join_bias(total, bias), whole.sum(axes, keepdims=True), atol=1e-5)
