import keras
import numpy as np
import pytest
from keras import ops
from oracles.attention import attention_loop, causal_loop, softmax_over

from keras_arch.ops.attention import (
    additive_mask,
    all_shown,
    causal_mask,
    fused_attention,
    masked_softmax,
    scaled_dot_product_attention,
    window_mask,
)

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.fixture
def heads(rng):
    """query (2, 3, 2, 4), key (2, 5, 2, 4), value (2, 5, 2, 6)"""
    return [rng.standard_normal(s).astype("float32") for s in ((2, 3, 2, 4), (2, 5, 2, 4), (2, 5, 2, 6))]


@pytest.mark.parametrize(("queries", "keys"), [(4, 4), (2, 5), (5, 2), (1, 6)])
def test_causal_mask_stands_at_the_bottom_right(queries, keys):
    np.testing.assert_array_equal(ops.convert_to_numpy(causal_mask(queries, keys)), causal_loop(queries, keys))


@pytest.mark.parametrize(("queries", "keys"), [(4, 4), (2, 5), (5, 2)])
def test_window_mask_counts_from_the_bottom_right(queries, keys):
    expected = [[abs((t - queries) - (s - keys)) < 2 for s in range(keys)] for t in range(queries)]
    np.testing.assert_array_equal(ops.convert_to_numpy(window_mask(queries, keys, 2)), expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_masked_softmax_equals_the_loop(dtype, rng):
    scores, bias = rng.standard_normal((6, 5)).astype("float32") * 3, rng.standard_normal((1, 5)).astype("float32")
    scores, bias = ops.cast(scores, dtype), ops.cast(bias, dtype)
    mask = rng.random((6, 5)) < 0.5
    mask[2] = False
    got = masked_softmax(scores, mask, bias)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    total = values(scores).astype("float64") + values(bias)
    expected = [softmax_over(row, seen) for row, seen in zip(total, mask, strict=True)]
    tolerance = {"float32": 1e-6, "bfloat16": 2**-8, "float16": 2**-11}[dtype]
    np.testing.assert_allclose(values(got), expected, atol=tolerance)
    assert not values(got)[~mask].any()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_softmax_over_many_keys_is_the_rounded_float32_one(dtype, rng):
    scores = ops.cast(rng.standard_normal((4, 3000)) * 2, dtype)
    exact = values(masked_softmax(ops.cast(scores, "float32")))
    rounding = {"bfloat16": 2**-8, "float16": 2**-10}[dtype]
    np.testing.assert_allclose(values(masked_softmax(scores)), exact, rtol=rounding, atol=6e-8)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_scores_and_bias_meet_in_float32(dtype):
    scores, bias = ops.cast([[0.5, 0.0]], dtype), ops.cast([[2048.0, 2048.0]], dtype)
    np.testing.assert_allclose(values(masked_softmax(scores, bias=bias)), [softmax_over([0.5, 0.0], [1, 1])], atol=2e-3)


def test_softmax_over_two_axes_equals_the_flattened_one(rng):
    scores, mask = rng.standard_normal((3, 4, 5)).astype("float32"), rng.random((3, 4, 5)) < 0.5
    got = values(masked_softmax(scores, mask, axes=2))
    expected = values(masked_softmax(scores.reshape(3, 20), mask.reshape(3, 20)))
    np.testing.assert_allclose(got.reshape(3, 20), expected, atol=1e-6)


def test_a_bias_of_minus_infinity_hides_like_the_mask():
    scores, mask = np.array([[1.0, 2.0, 3.0]], "float32"), np.array([[True, True, False]])
    bias = np.array([[0.0, -np.inf, 0.0]], "float32")
    np.testing.assert_array_equal(values(masked_softmax(scores, mask, bias)), [[1, 0, 0]])
    np.testing.assert_array_equal(values(masked_softmax(scores, mask, bias - np.inf)), [[0, 0, 0]])


def test_additive_mask_is_finite_in_every_dtype():
    for dtype in ("float32", "bfloat16", "float16"):
        extra = additive_mask(np.array([True, False]), np.array([1.0, 1.0]), dtype)
        assert keras.backend.standardize_dtype(extra.dtype) == dtype
        assert np.isfinite(values(extra)).all()
        assert values(extra)[0] == 1
        assert values(extra)[1] <= -3e4


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_attention_equals_the_loop_on_both_paths(heads, rng, fused, masked, biased):
    mask = rng.random((2, 1, 3, 5)) < 0.6 if masked else None
    bias = rng.standard_normal((1, 2, 3, 5)).astype("float32") if biased else None
    if masked:
        mask[0, :, 1] = False
    if fused:
        heads[2] = heads[2][..., :4]  # JAX's kernel has one size for keys and values
    expected, expected_weights = attention_loop(*heads, mask=mask, bias=bias)
    if fused:
        got = fused_attention(*map(ops.convert_to_tensor, heads), mask, bias)
    else:
        got, weights = scaled_dot_product_attention(*heads, mask, bias, return_weights=True)
        np.testing.assert_allclose(values(weights), expected_weights, atol=1e-6)
    np.testing.assert_allclose(values(got), expected, atol=2e-6)
    if masked:
        assert not values(got)[0, 1].any()


def test_a_mask_of_lower_rank_broadcasts(heads):
    mask = causal_mask(3, 5)
    got, _ = scaled_dot_product_attention(*heads, mask)
    np.testing.assert_allclose(values(got), attention_loop(*heads, mask=causal_loop(3, 5))[0], atol=2e-6)


def test_drop_acts_between_weights_and_values(heads):
    got, weights = scaled_dot_product_attention(*heads, drop=lambda w: w * 2, return_weights=True)
    expected, expected_weights = attention_loop(*heads)
    np.testing.assert_allclose(values(got), 2 * expected, atol=4e-6)
    np.testing.assert_allclose(values(weights), expected_weights, atol=1e-6)


def test_large_float16_products_do_not_overflow():
    query = np.full((1, 2, 1, 64), 45.0, "float16")  # 45 * 45 * 64 is above 65504
    got, _ = scaled_dot_product_attention(query, query, query / 45)
    np.testing.assert_allclose(values(got), 1.0, atol=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes gradients with tf.GradientTape")
def test_gradients_of_a_row_that_sees_nothing_are_zero_and_finite(heads):
    import tensorflow as tf

    query, key, value = (tf.constant(x) for x in heads)
    mask = np.ones((2, 1, 3, 5), "bool")
    mask[:, :, 0] = False
    bias = tf.constant(np.where(np.arange(5) == 4, -np.inf, 0.5).astype("float32")[None, None, None])
    with tf.GradientTape() as tape:
        tape.watch([query, key, value, bias])
        output, weights = scaled_dot_product_attention(query, key, value, mask, bias, return_weights=True)
        loss = tf.reduce_sum(output**2) + tf.reduce_sum(weights**2)
    gradients = tape.gradient(loss, [query, key, value, bias])
    assert all(np.isfinite(g).all() for g in gradients)
    assert not gradients[0][:, 0].numpy().any()
    assert gradients[0][:, 1].numpy().any()


def test_masks_show_what_all_of_them_show(rng):
    masks = [rng.random((2, 1, 3)) < 0.5, None, rng.random((1, 4, 3)) < 0.5]
    np.testing.assert_array_equal(ops.convert_to_numpy(all_shown(masks)), masks[0] & masks[2])
    assert all_shown([None, masks[0]]) is masks[0]
    assert all_shown([]) is None
