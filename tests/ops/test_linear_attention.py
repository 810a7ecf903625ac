import keras
import numpy as np
import pytest
from keras import ops
from oracles.attention import causal_loop
from oracles.linear_attention import elu_plus_one, linear_attention_loop

from keras_arch.ops.linear_attention import (
    FEATURE_MAPS,
    elu_features,
    linear_attention,
    linear_attention_weights,
    read_sums,
    relu_features,
)

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def draw(rng, queries, keys, batch=2, heads=2, features=3, size=4):
    query, key = rng.uniform(0, 2, (2, batch, max(queries, keys), heads, features)).astype("float32")
    value = rng.standard_normal((batch, keys, heads, size)).astype("float32")
    return query[:, :queries], key[:, :keys], value


def test_elu_features_are_elu_plus_one_and_keep_the_bits_of_small_ones():
    x = np.array([3.0, 0.5, 0.0, -0.5, -3.0, -30.0, -80.0], "float32")
    np.testing.assert_allclose(values(elu_features(x)), elu_plus_one(x), rtol=1e-6)


def test_relu_features_are_positive():
    np.testing.assert_allclose(values(relu_features(np.array([2.0, -5.0], "float32"))), [2.001, 0.001], rtol=1e-6)


def test_every_feature_map_of_the_table_is_positive_and_rises():
    x = np.linspace(-5, 5, 11, dtype="float32")
    for features in FEATURE_MAPS.values():
        got = values(features(x))
        assert got.min() > 0
        assert (np.diff(got) >= 0).all()


@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (3, 6), (6, 3)])
def test_without_order_every_query_sees_every_key(queries, keys, rng):
    query, key, value = draw(rng, queries, keys)
    got, _ = linear_attention(query, key, value)
    np.testing.assert_allclose(values(got), linear_attention_loop(query, key, value)[0], atol=2e-6)


@pytest.mark.parametrize("chunk", [1, 3, 4, 64])
@pytest.mark.parametrize(("queries", "keys"), [(8, 8), (7, 7), (1, 1), (3, 8), (1, 8), (8, 3)])
def test_causal_chunks_equal_the_loop_aligned_at_the_end(queries, keys, chunk, rng):
    query, key, value = draw(rng, queries, keys)
    got, sums = linear_attention(query, key, value, causal=True, chunk=chunk)
    np.testing.assert_allclose(
        values(got), linear_attention_loop(query, key, value, causal_loop(queries, keys))[0], atol=3e-6
    )
    np.testing.assert_allclose(values(sums)[..., -1], key.sum(axis=1), rtol=2e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_masked_keys_do_not_count_whatever_they_hold(causal, rng):
    query, key, value = draw(rng, 7, 7)
    mask = rng.uniform(size=(2, 7)) < 0.5
    mask[0, 0], mask[1] = False, False
    seen = mask[:, None, :] & (causal_loop(7, 7) if causal else True)
    key[~mask], value[~mask] = 1e30, np.nan
    got, _ = linear_attention(query, key, value, mask, causal=causal, chunk=3)
    np.testing.assert_allclose(values(got), linear_attention_loop(query, key, np.nan_to_num(value), seen)[0], atol=3e-6)
    assert (values(got)[1] == 0).all()


@pytest.mark.parametrize("causal", [False, True])
def test_sums_of_earlier_keys_count_like_the_keys(causal, rng):
    query, key, value = draw(rng, 9, 9)
    _, sums = linear_attention(query[:, :4], key[:, :4], value[:, :4], causal=causal)
    got, after = linear_attention(query[:, 4:], key[:, 4:], value[:, 4:], causal=causal, sums=sums, chunk=2)
    whole, final = linear_attention(query, key, value, causal=causal)
    np.testing.assert_allclose(values(got), values(whole)[:, 4:], atol=2e-6)
    np.testing.assert_allclose(values(after), values(final), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(values(read_sums(query, final)), linear_attention_loop(query, key, value)[0], atol=2e-6)


def test_weights_times_values_are_the_output(rng):
    query, key, value = draw(rng, 4, 6)
    seen = causal_loop(4, 6) & (rng.uniform(size=(2, 1, 6)) < 0.6)
    seen[0, 0] = False
    got = values(linear_attention_weights(query, key, seen[:, None]))
    np.testing.assert_allclose(got, linear_attention_loop(query, key, value, seen)[1], atol=1e-6)
    assert (got[0, :, 0] == 0).all()


def test_a_change_of_a_later_step_leaves_earlier_outputs_alone(rng):
    query, key, value = draw(rng, 9, 9)
    before = values(linear_attention(query, key, value, causal=True, chunk=4)[0])
    key[:, 5], value[:, 5] = 2.0, 7.0
    after = values(linear_attention(query, key, value, causal=True, chunk=4)[0])
    changed = np.abs(after - before).max(axis=(0, 2, 3)) > 0
    assert changed.tolist() == [False] * 5 + [True] * 4


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_inputs_are_summed_in_float32(dtype, rng):
    query, key, value = (ops.cast(x, dtype) for x in draw(rng, 3000, 3000, batch=1, heads=1))
    got, sums = linear_attention(query, key, value, causal=True)
    assert (keras.backend.standardize_dtype(got.dtype), keras.backend.standardize_dtype(sums.dtype)) == (
        dtype,
        "float32",
    )
    exact = [values(x).astype("float64") for x in (query, key, value)]
    products = np.tril(np.einsum("tr,sr->ts", exact[0][0, :, 0], exact[1][0, :, 0]))
    expected = products @ exact[2][0, :, 0] / products.sum(axis=1, keepdims=True)
    half_a_place = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    np.testing.assert_allclose(values(got)[0, :, 0], expected, rtol=half_a_place, atol=1e-5)


def test_output_has_the_dtype_of_the_values_in_float64_too(rng):
    query, key, value = (ops.convert_to_tensor(x.astype("float64")) for x in draw(rng, 3, 3))
    got, _ = linear_attention(query, key, value, causal=True)
    assert keras.backend.standardize_dtype(got.dtype) == keras.backend.standardize_dtype(value.dtype)
    np.testing.assert_allclose(
        values(got), linear_attention_loop(*(values(x) for x in (query, key, value)), causal_loop(3, 3))[0], atol=1e-6
    )
