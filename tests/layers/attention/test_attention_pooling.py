import keras
import numpy as np
import pytest
from keras import ops
from oracles.attention import multi_head_attention_loop

from keras_arch.layers import AttentionPooling

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def pooled_by_loop(layer, x, mask=None):
    """(output, scores) of the attention loop from the layer's queries; `mask` bool (B, T)."""
    queries = np.repeat(values(layer.queries)[None], len(x), axis=0)
    weights = [values(weight) for weight in layer.attention.weights]
    return multi_head_attention_loop(queries, x, weights, None if mask is None else mask[:, None, None, :])


@pytest.mark.parametrize("num_queries", [1, 3])
def test_equals_the_attention_loop_with_masks(num_queries, rng):
    x = rng.standard_normal((2, 5, 4)).astype("float32")
    mask = np.array([[True, False, True, True, False], [True] * 5])
    layer = AttentionPooling(2, key_dim=3, num_queries=num_queries, keepdims=True, bias_initializer="random_normal")
    output, scores = layer(x, mask=mask, return_attention_scores=True)
    expected = pooled_by_loop(layer, x, mask)
    np.testing.assert_allclose(values(output), expected[0], atol=2e-6)
    np.testing.assert_allclose(values(scores), expected[1], atol=1e-6)
    np.testing.assert_allclose(values(layer(x, mask=mask)), expected[0], atol=2e-6)


def test_one_query_gives_one_vector_unless_its_axis_is_kept(rng):
    x = rng.standard_normal((2, 5, 4)).astype("float32")
    layer, kept = AttentionPooling(2), AttentionPooling(2, keepdims=True)
    kept.build(x.shape)
    got = values(layer(x))
    kept.set_weights(layer.get_weights())
    assert got.shape == (2, 4) == layer.compute_output_shape(x.shape)
    assert kept.compute_output_shape(x.shape) == (2, 1, 4)
    np.testing.assert_allclose(values(kept(x))[:, 0], got, atol=1e-6)
    assert layer.attention.key_dim == 2


def test_mask_that_travels_equals_slicing_and_ends_here(rng):
    embedding, layer = keras.layers.Embedding(5, 4, mask_zero=True), AttentionPooling(2, num_queries=2)
    got = layer(embedding(np.array([[3, 1, 2, 0, 0]])))
    np.testing.assert_allclose(values(got), values(layer(embedding(np.array([[3, 1, 2]])))), atol=1e-6)
    assert layer.compute_mask(got, np.ones((1, 5), bool)) is None


def test_a_sample_without_steps_gets_the_output_bias(rng):
    x = rng.standard_normal((2, 3, 4)).astype("float32")
    layer = AttentionPooling(2, bias_initializer="random_normal")
    output, scores = layer(x, mask=np.array([[False] * 3, [True] * 3]), return_attention_scores=True)
    np.testing.assert_allclose(values(output)[0], values(layer.attention.output_dense.bias), atol=1e-7)
    assert (values(scores)[0] == 0).all()


def test_order_of_the_steps_does_not_matter(rng):
    x, layer = rng.standard_normal((1, 6, 4)).astype("float32"), AttentionPooling(2)
    np.testing.assert_allclose(values(layer(x[:, ::-1])), values(layer(x)), atol=1e-6)


def test_scores_and_unknown_length_in_a_functional_model(rng):
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, AttentionPooling(2, num_queries=3)(inputs, return_attention_scores=True))
    assert model.output_shape == [(None, 3, 4), (None, 2, 3, None)] or model.output_shape == (
        (None, 3, 4),
        (None, 2, 3, None),
    )
    for length in (2, 5):
        _, scores = model.predict(rng.standard_normal((1, length, 4)).astype("float32"), verbose=0)
        np.testing.assert_allclose(scores.sum(axis=-1), np.ones((1, 2, 3)), atol=1e-6)


def test_queries_learn_to_find_the_marked_step(rng):
    x = rng.standard_normal((64, 6, 4)).astype("float32")
    marked = rng.integers(0, 6, 64)
    x[:, :, 0] = 0
    x[np.arange(64), marked, 0] = 3
    y = x[np.arange(64), marked, 1:2]
    model = keras.Sequential([keras.Input((6, 4)), AttentionPooling(1), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(0.03), loss="mse")
    model.fit(np.tile(x, (60, 1, 1)), np.tile(y, (60, 1)), batch_size=64, verbose=0)
    _, scores = model.layers[0](x, return_attention_scores=True)
    assert (values(scores)[:, 0, 0].argmax(axis=1) == marked).mean() > 0.95


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        ({"num_heads": 0}, None, "num_heads must be an integer >= 1"),
        ({"num_heads": 2, "num_queries": 0}, None, "num_queries must be an integer >= 1"),
        ({"num_heads": 2, "dropout": 1.5}, None, "dropout must be a number"),
        ({"num_heads": 3}, (1, 2, 4), "num_heads must divide the 4 features .* received num_heads=3"),
        ({"num_heads": 2}, (1, 2, 2, 4), r"inputs must be sequences .* received inputs=\(1, 2, 2, 4\)"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, shape, message):
    with pytest.raises(ValueError, match=message):
        AttentionPooling(**arguments).build(shape)
