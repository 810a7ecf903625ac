import keras
import numpy as np
import pytest
from keras import ops
from oracles.attention import causal_loop
from oracles.linear_attention import linear_attention_layer_loop

from keras_arch.layers import LinearAttention
from keras_arch.layers.attention.linear_attention import LinearAttentionCache

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@keras.saving.register_keras_serializable("oracles")
def paired_relu(x):
    """Features of twice the size: the positive and the negative part."""
    return ops.concatenate([ops.relu(x), ops.relu(-x)], axis=-1)


def make(**arguments):
    return LinearAttention(2, 3, **{"value_dim": 4, "bias_initializer": "random_normal", **arguments})


def loop(layer, query, value, seen=None, **features):
    return linear_attention_layer_loop(query, value, [values(weight) for weight in layer.weights], seen, **features)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (2, 6), (6, 2)])
def test_equals_the_loop_over_all_pairs(queries, keys, causal, rng):
    query, value = (rng.standard_normal((2, length, 5)).astype("float32") for length in (queries, keys))
    layer = make()
    got = values(layer(query, value, use_causal_mask=causal))
    seen = causal_loop(queries, keys) if causal else None
    np.testing.assert_allclose(got, loop(layer, query, value, seen), atol=2e-6)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("relu", lambda x: np.maximum(x, 0) + 1e-3),
        ("softplus", lambda x: np.log1p(np.exp(x))),
        (paired_relu, lambda x: np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=-1)),
    ],
)
def test_feature_maps_equal_their_formulas_and_survive_the_config(name, features, rng):
    x = rng.standard_normal((1, 5, 4)).astype("float32")
    layer = make(feature_map=name)
    got = values(layer(x, x, use_causal_mask=True))
    np.testing.assert_allclose(got, loop(layer, x, x, causal_loop(5, 5), features=features), atol=2e-6)
    revived = LinearAttention.from_config(layer.get_config())
    assert revived.feature_map == name
    _, cache = layer(x, x, cache=layer.make_cache(1))
    assert cache.sums.shape == layer.make_cache(1).sums.shape


@pytest.mark.parametrize("causal", [False, True])
def test_masks_hide_keys_and_blank_queries(causal, rng):
    x = rng.standard_normal((2, 6, 4)).astype("float32")
    mask = np.array([[True, True, True, False, False, False], [False] * 6])
    other = np.array([[False, True, True, True, True, True], [True] * 6])
    layer = make()
    got = layer(x, x, x, query_mask=mask, value_mask=mask, key_mask=other, use_causal_mask=causal)
    seen = (mask & other)[:, None, :] & mask[:, :, None]
    seen = seen & causal_loop(6, 6) if causal else seen
    np.testing.assert_allclose(values(got), loop(layer, x, x, seen), atol=2e-6)
    bias = values(layer.output_dense.bias)
    np.testing.assert_allclose(values(got)[1], np.tile(bias, (6, 1)), atol=1e-6)
    np.testing.assert_allclose(values(got)[0, 3:], np.tile(bias, (3, 1)), atol=1e-6)
    pooled = keras.layers.GlobalAveragePooling1D()(got)  # reads the mask that travels on
    np.testing.assert_allclose(values(pooled)[0], values(got)[0, :3].mean(axis=0), atol=1e-6)


def test_masks_that_travel_equal_slicing():
    embedding, layer = keras.layers.Embedding(5, 4, mask_zero=True), make()
    padded, short = embedding(np.array([[3, 1, 2, 0, 0]])), embedding(np.array([[3, 1, 2]]))
    np.testing.assert_allclose(values(layer(padded, padded))[:, :3], values(layer(short, short)), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_decoding_step_by_step_equals_the_whole_pass(dtype, rng):
    x = rng.standard_normal((2, 9, 4)).astype("float32")
    layer = make(dtype=dtype)
    whole = values(layer(x, x, use_causal_mask=True))
    cache, steps = layer.make_cache(2), []
    for start, end in ((0, 4), (4, 5), (5, 6), (6, 9)):
        step, cache = layer(x[:, start:end], x[:, start:end], use_causal_mask=True, cache=cache)
        steps.append(values(step))
        assert keras.backend.standardize_dtype(cache.sums.dtype) == "float32"
        assert tuple(cache.sums.shape) == (2, 2, 3, 5)
    np.testing.assert_allclose(np.concatenate(steps, axis=1), whole, atol=1e-5 if dtype == "float32" else 2e-2)


def test_sums_of_a_cache_are_not_cast_to_the_compute_dtype(rng):
    x = np.full((1, 1, 4), 0.1, "float32")
    layer = make(dtype="mixed_float16")
    _, cache = layer(x, x, cache=layer.make_cache(1))
    large = LinearAttentionCache(cache.sums * 1e6)  # float16 ends at 65504
    output, after = layer(x, x, cache=large)
    assert np.isfinite(values(output)).all()
    np.testing.assert_allclose(values(after.sums), values(large.sums) + values(cache.sums), rtol=1e-6)


def test_padded_steps_leave_the_cache_alone(rng):
    x = rng.standard_normal((1, 4, 4)).astype("float32")
    layer = make()
    mask = np.array([[True, True, False, False]])
    _, padded = layer(x, x, value_mask=mask, use_causal_mask=True, cache=layer.make_cache(1))
    _, short = layer(x[:, :2], x[:, :2], use_causal_mask=True, cache=layer.make_cache(1))
    np.testing.assert_allclose(values(padded.sums), values(short.sums), atol=1e-6)


def test_a_cached_memory_equals_the_memory(rng):
    query, memory = (rng.standard_normal((2, length, 4)).astype("float32") for length in (3, 5))
    mask, layer = np.array([[True] * 5, [True, True, False, False, False]]), make()
    whole = values(layer(query, memory, value_mask=mask))
    output, after = layer(query, cache=layer.cache_memory(memory, value_mask=mask))
    np.testing.assert_allclose(values(output), whole, atol=2e-6)
    again, _ = layer(query[:, :1], cache=after)
    np.testing.assert_allclose(values(again), whole[:, :1], atol=2e-6)


def test_decoding_runs_in_a_while_loop_of_constant_size(rng):
    x = rng.standard_normal((1, 5, 4)).astype("float32")
    layer = make()
    whole = values(layer(x, x, use_causal_mask=True))
    tensor = ops.convert_to_tensor(x)

    def step(t, cache, _):
        token = ops.slice(tensor, (0, t, 0), (1, 1, 4))
        output, cache = layer(token, token, use_causal_mask=True, cache=cache)
        return t + 1, cache, output

    state = (ops.convert_to_tensor(0, "int32"), layer.make_cache(1, max_length=5), ops.zeros((1, 1, 4)))
    _, _, last = ops.while_loop(lambda t, cache, _: t < 5, step, state)
    np.testing.assert_allclose(values(last), whole[:, -1:], atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_scores_are_the_weights_of_the_output(causal, rng):
    query, value = (rng.standard_normal((2, length, 4)).astype("float32") for length in (3, 5))
    mask, layer = np.array([[True] * 5, [True, True, False, False, False]]), make()
    arguments = {"value_mask": mask, "use_causal_mask": causal}
    output, scores = layer(query, value, return_attention_scores=True, **arguments)
    np.testing.assert_array_equal(values(output), values(layer(query, value, **arguments)))
    heads = np.einsum("bnts,bsnv->btnv", values(scores), values(layer.value_dense(value)))
    np.testing.assert_allclose(values(layer.output_dense(heads)), values(output), atol=2e-6)


def test_weights_are_those_of_kerass_attention_in_name_shape_and_order():
    theirs, ours = keras.layers.MultiHeadAttention(2, 3, value_dim=4, name="a"), make(name="a")
    for layer in (theirs, ours):
        layer.build((None, 5, 4), (None, 6, 7))
    described = [[(weight.path, tuple(weight.shape)) for weight in layer.weights] for layer in (theirs, ours)]
    assert described[0] == described[1]
    ours.set_weights(theirs.get_weights())
    assert {ours.query_dense.name, ours.key_dense.name, ours.value_dense.name} == {"query", "key", "value"}


def test_lora_and_quantization_reach_the_projections(rng):
    x = rng.standard_normal((2, 5, 8)).astype("float32")
    layer = LinearAttention(2, 16)
    before = values(layer(x, x))
    layer.query_dense.enable_lora(2)
    np.testing.assert_allclose(values(layer(x, x)), before, atol=1e-6)
    other = LinearAttention(2, 16)
    before = values(other(x, x))
    other.value_dense.quantize("int8")
    after = values(other(x, x))
    assert 0 < np.abs(after - before).max() < 0.05 * np.abs(before).max()


def test_unknown_lengths_beyond_one_chunk(rng):
    inputs = keras.Input((None, 4))
    layer = make()
    model = keras.Model(inputs, layer(inputs, inputs, use_causal_mask=True))
    assert model.output_shape == (None, None, 4)
    for length in (3, 150):
        x = rng.standard_normal((1, length, 4)).astype("float32")
        expected = loop(layer, x, x, np.tril(np.ones((length, length), bool)))
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=5e-6)


def test_bad_calls_say_what_to_do(rng):
    x, layer = rng.standard_normal((1, 3, 4)).astype("float32"), make()
    with pytest.raises(ValueError, match="needs a built layer"):
        layer.cache_memory(x)
    layer(x, x)
    with pytest.raises(ValueError, match=r"value may be left out only with a cache.*Pass value=query"):
        layer(x)
    with pytest.raises(ValueError, match="excludes a cache"):
        layer(x, x, return_attention_scores=True, cache=layer.make_cache(1))
    with pytest.raises(ValueError, match="cache must be a LinearAttentionCache"):
        layer(x, x, cache=(ops.zeros((1, 2, 3, 5)),))
    with pytest.raises(ValueError, match=r"sums of the shape \(batch, 2, features, 5\); received cache=\(1, 2, 3, 4\)"):
        layer(x, x, cache=LinearAttentionCache(ops.zeros((1, 2, 3, 4))))
    with pytest.raises(ValueError, match=r"value must be sequences of known features; received value=\(1, 2, 3, 4\)"):
        make()(x, np.zeros((1, 2, 3, 4), "float32"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 0}, "num_heads must be an integer >= 1"),
        ({"key_dim": 1.5}, "key_dim must be an integer"),
        ({"value_dim": 0}, "value_dim must be an integer"),
        ({"feature_map": "exp"}, "feature_map must be one of 'elu', 'relu', 'softplus'; received feature_map='exp'"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        LinearAttention(**{"num_heads": 2, "key_dim": 3, **arguments})
