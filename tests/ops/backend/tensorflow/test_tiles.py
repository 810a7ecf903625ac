import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)

import tensorflow as tf

from keras_arch.ops.attention import lowest
from keras_arch.ops.backend.tensorflow.tiles import Tiles, piece, softmax, split, sums_wide


def test_a_tile_is_a_piece_of_all_scores(rng):
    query, key = (
        rng.standard_normal((2, 3, 2, 6, 4)).astype("float32"),
        rng.standard_normal((2, 3, 7, 4)).astype("float32"),
    )
    mask = tf.constant(rng.random((2, 6, 6, 7)) < 0.5)
    tiles = Tiles(6, 7, key_heads=3, groups=2, masks=(mask,), causal=True, soft_cap=2.0)
    whole, _, sees = tiles.scores(query, key, None, (0, 0), tf.float32)
    part, _, part_sees = tiles.scores(query[:, :, :, 2:5], key[:, :, 3:], None, (2, 3), tf.float32)
    np.testing.assert_allclose(part, whole[:, :, :, 2:5, 3:], atol=1e-6)
    assert tuple(sees.shape) == (2, 3, 2, 6, 1)
    np.testing.assert_array_equal(part_sees[..., 0], (part > -1e30).numpy().any(-1))


def test_order_alone_hides_no_query_completely():
    assert Tiles(4, 4, 1, 1, causal=True).always_seen
    assert Tiles(4, 6, 1, 1, window=2).always_seen
    assert not Tiles(6, 4, 1, 1, causal=True).always_seen
    assert not Tiles(4, 4, 1, 1, masks=(tf.ones((1, 1, 4, 4), "bool"),)).always_seen


def test_dropout_of_a_tile_depends_on_its_place_only():
    tiles = Tiles(8, 8, 1, 1, dropout=0.5, seed=tf.constant([1, 2], "int64"))
    weights = tf.ones((1, 1, 1, 16, 16))
    np.testing.assert_array_equal(tiles.drop(weights, (0, 4)), tiles.drop(weights, (0, 4)))
    for place in ((4, 0), (0, 0), (4, 4)):
        assert np.abs(tiles.drop(weights, place) - tiles.drop(weights, (0, 4))).max() == 2
    heads = Tiles(8, 8, 2, 1, dropout=0.5, seed=tiles.seed)
    assert np.abs(heads.of_head(0).drop(weights, (0, 4)) - heads.of_head(1).drop(weights, (0, 4))).max() == 2


def test_a_head_takes_its_masks_along(rng):
    mask, shared = tf.constant(rng.random((2, 6, 4, 4)) < 0.5), tf.ones((2, 1, 1, 4), "bool")
    one = Tiles(4, 4, key_heads=3, groups=2, masks=(mask, shared)).of_head(1)
    np.testing.assert_array_equal(one.masks[0], mask[:, 2:4])
    assert one.masks[1] is shared
    assert (one.key_heads, one.groups, one.first_head) == (1, 2, 1)


@pytest.mark.parametrize("start", [3, tf.constant(3)])
def test_pieces_start_anywhere(start):
    x = tf.reshape(tf.range(24), (2, 3, 4, 1))
    np.testing.assert_array_equal(piece(tf.transpose(x, (0, 1, 3, 2)), 3, start, 1)[..., 0], x[:, :, 3])


@pytest.mark.parametrize("shape", [(1, 1, 7, 2, 3), (2, 1, 7, 2, 3)])
def test_splits_are_pieces_in_order(rng, shape):
    x = rng.standard_normal(shape)
    parts = split(tf.constant(x), [2, 4, 1], 2)
    for part, start, stop in zip(parts, (0, 2, 6), (2, 6, 7), strict=True):
        np.testing.assert_array_equal(part, x[:, :, start:stop])
        np.testing.assert_array_equal(piece(tf.constant(x), 2, start, stop - start), x[:, :, start:stop])


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("start", [(0, 0), (3, 1), (5, 0)])
def test_later_keys_are_hidden_without_a_mask(rng, rows, start):
    scores = rng.standard_normal((2, 3, 2, rows, 6)).astype("float32")
    hidden = Tiles(8, 9, 3, 2, causal=True).without_later_keys(tf.constant(scores), start).numpy()
    later = start[1] + np.arange(6) > start[0] + np.arange(rows)[:, None] + 1
    np.testing.assert_array_equal(hidden, np.where(later, lowest("float32"), scores))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_softmax_sums_a_long_row_in_float32(dtype):
    """4096 equal entries: a sum in bfloat16 would stand still at 256."""
    if not sums_wide(dtype):
        pytest.skip("this build's softmax sums in the narrow type, and is not used for it")
    weights = softmax(tf.zeros((2, 4096), dtype), getattr(tf, dtype))
    np.testing.assert_allclose(tf.cast(weights, "float32"), 1 / 4096, rtol=1e-2)


def test_softmax_takes_any_rank(rng):
    x = rng.standard_normal((2, 1, 2, 1, 3, 4)).astype("float32")
    expected = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    np.testing.assert_allclose(softmax(tf.constant(x), tf.float32), expected, atol=1e-6)
