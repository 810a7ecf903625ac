"""What both rollouts share: which layers, which row, where it lies; and what is refused."""

import keras
import numpy as np
import pytest

import keras_arch as ka
from keras_arch.explain.attention.attention_maps import attention_maps
from keras_arch.explain.attention.attention_rollout import AttentionRollout
from keras_arch.explain.attention.gradient_attention_rollout import GradientAttentionRollout
from keras_arch.explain.attention.rollout_method import RolloutMethod

L = keras.layers
BOTH = pytest.mark.parametrize("method", [AttentionRollout, GradientAttentionRollout])


def vision(class_token=True, size=(8, 8), depth=2):
    """A vision transformer."""
    inputs = keras.Input((*size, 3))
    hidden = ka.layers.PatchEmbedding(4, 8, class_token=class_token)(inputs)
    for number in range(depth):
        hidden = ka.layers.TransformerEncoderBlock(2, 16, name=f"block{number}")(hidden)
    head = hidden[:, 0] if class_token else L.GlobalAveragePooling1D()(hidden)
    return keras.Model(inputs, L.Dense(3)(head))


def encoder_decoder():
    source, inputs = keras.Input((5, 8)), keras.Input((5, 8))
    memory = ka.layers.TransformerEncoderBlock(2, 16, name="encoder")(source)
    hidden = ka.layers.TransformerDecoderBlock(2, 16, name="decoder")(inputs, memory)
    return keras.Model([source, inputs], L.Dense(2)(L.GlobalAveragePooling1D()(hidden)))


@pytest.mark.backend
@BOTH
def test_values_lie_on_the_patches_of_an_image(rng, method):
    x = rng.normal(size=(3, 8, 12, 3)).astype("float32")
    model = vision(size=(8, 12))
    grid = method(interpolation=None).explain(model, x, 1)
    assert grid.values.shape == (3, 2, 3, 1)
    full = method(interpolation="nearest").explain(model, x, 1)
    np.testing.assert_allclose(full.values[..., 0], np.kron(grid.values[..., 0], np.ones((1, 4, 4))), rtol=1e-6)
    assert method().explain(model, x, 1).values.shape == (3, 8, 12, 1)
    np.testing.assert_allclose(grid.predictions, keras.ops.convert_to_numpy(model(x)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(grid.scores, grid.predictions[:, 1], rtol=1e-6)
    np.testing.assert_array_equal(grid.target, [1, 1, 1])


@pytest.mark.backend
@BOTH
def test_the_class_token_is_read_where_there_is_one_and_else_the_mean(rng, method):
    x = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    auto, first, mean = (
        method(interpolation=None, query=query).explain(vision_model, x, 0).values
        for vision_model in [vision(depth=1)]
        for query in ("auto", 0, "mean")
    )
    np.testing.assert_array_equal(auto, first)
    assert np.abs(auto - mean).max() > 1e-3 * np.abs(auto).max()
    model = vision(class_token=False, depth=1)
    auto, mean = (method(interpolation=None, query=query).explain(model, x, 0).values for query in ("auto", "mean"))
    np.testing.assert_array_equal(auto, mean)
    each = [method(interpolation=None, query=query).explain(model, x, 0).values for query in range(4)]
    np.testing.assert_allclose(np.mean(each, axis=0), mean, rtol=1e-4, atol=1e-7)
    last = method(interpolation=None, query=-1).explain(model, x, 0).values
    np.testing.assert_array_equal(last, each[3])
    with pytest.raises(ValueError, match="query must be the number of a token, below 4; received query=4"):
        method(query=4).explain(model, x, 0)


@pytest.mark.backend
@BOTH
def test_padding_gets_nothing_and_changes_nothing(rng, method):
    inputs = keras.Input((None,), dtype="int32")
    hidden = L.Embedding(9, 8, mask_zero=True)(inputs)
    for _ in range(2):
        hidden = ka.layers.TransformerEncoderBlock(2, 16)(hidden)
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling1D()(hidden)))
    short = np.array([[3, 1, 4]])
    padded = np.array([[3, 1, 4, 0, 0]])
    want = method().explain(model, short, 1)
    got = method().explain(model, padded, 1)
    assert got.values.shape == (1, 5)
    np.testing.assert_array_equal(got.values[:, 3:], 0)
    np.testing.assert_allclose(got.values[:, :3], want.values, rtol=1e-4, atol=1e-6)


@pytest.mark.backend
@BOTH
def test_an_answer_does_not_depend_on_batch_mates_or_chunks(rng, method):
    x, model = rng.normal(size=(5, 8, 8, 3)).astype("float32"), vision()
    whole = method().explain(model, x, [0, 1, 2, 0, 1])
    chunked = method().explain(model, x, [0, 1, 2, 0, 1], batch_size=2)
    np.testing.assert_allclose(chunked.values, whole.values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(method().explain(model, x[3:4], 0).values[0], whole.values[3], rtol=1e-4, atol=1e-6)


@pytest.mark.backend
@BOTH
def test_two_sequences_are_refused_until_one_stack_is_named(rng, method):
    model, x = encoder_decoder(), [rng.normal(size=(2, 5, 8)).astype("float32") for _ in range(2)]
    with pytest.raises(ValueError, match="layers must be the self-attention of one.*cross_attention attends from"):
        method().explain(model, x, 0)
    values = method(layers="encoder").explain(model, x, 0).values
    assert values.shape == (2, 5, 1)
    named = method(layers=["encoder/attention"]).explain(model, x, 0).values
    np.testing.assert_array_equal(values, named)


@pytest.mark.backend
@BOTH
def test_an_attention_pooling_may_come_last(rng, method):
    inputs = keras.Input((6, 8))
    hidden = ka.layers.TransformerEncoderBlock(2, 16)(inputs)
    pooled = ka.layers.AttentionPooling(2, num_queries=1, name="pool")(hidden)
    model, x = keras.Model(inputs, L.Dense(2)(pooled)), rng.normal(size=(2, 6, 8)).astype("float32")
    assert method().explain(model, x, 1).values.shape == (2, 6, 1)
    alone = method(layers="pool").explain(model, x, 1)
    assert alone.values.shape == (2, 6, 1)
    if method is AttentionRollout:
        pool = attention_maps(model, x, "pool").weights["pool/attention"]
        np.testing.assert_allclose(alone.values[..., 0], pool.mean(1)[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.backend
@BOTH
def test_windows_and_layers_of_other_lengths_are_refused(rng, method):
    class Windows(keras.Model):
        def __init__(self):
            super().__init__()
            self.look = L.MultiHeadAttention(2, 4, name="look")

        def call(self, x):
            windows = keras.ops.reshape(x, (-1, 2, x.shape[-1]))
            return keras.ops.mean(keras.ops.reshape(self.look(windows, windows), keras.ops.shape(x)), axis=1)

    x = rng.normal(size=(2, 6, 8)).astype("float32")
    with pytest.raises(ValueError, match="layers must attend over one sequence of known length per sample"):
        method().explain(Windows(), x, 0)
    inputs = keras.Input((6, 8))
    y = L.MultiHeadAttention(2, 4)(inputs, inputs)
    y = L.AveragePooling1D(2)(y)
    y = L.MultiHeadAttention(2, 4)(y, y)
    model = keras.Model(inputs, L.GlobalAveragePooling1D()(y))
    with pytest.raises(ValueError, match=r"layers must be the self-attention of one stack.*\(6, 6\).*\(3, 3\)"):
        method().explain(model, x, 0)
    values = method(layers=model.layers[1]).explain(model, x, 0).values
    assert values.shape == (2, 6, 1)


@BOTH
@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"query": "cls"}, "query must be one of 'auto', 'mean'"),
        ({"query": True}, "query must be one of"),
        ({"grid": (0, 4)}, "grid must be an integer >= 1"),
        ({"prefix_tokens": -1}, "prefix_tokens must be an integer >= 0"),
        ({"interpolation": "cubic"}, "interpolation must be one of"),
    ],
)
def test_bad_settings_are_named(method, settings, match):
    with pytest.raises(ValueError, match=match):
        method(**settings)


@BOTH
def test_methods_are_stored_and_compared(method):
    import keras_arch  # registers

    one = method(layers=("a", "b"), grid=[4, 4], query=np.int64(1), interpolation=None)
    assert one.grid == (4, 4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    assert again == one
    assert method() == method()
    assert method(query="mean") != method()
    assert issubclass(method, RolloutMethod), keras_arch


@BOTH
def test_a_new_target_of_the_same_shape_costs_no_trace(rng, method):
    runs = []

    class Counting(L.Layer):
        def call(self, x):
            runs.append(1)
            return x

    inputs = keras.Input((4, 8))
    hidden = Counting()(L.MultiHeadAttention(2, 4)(inputs, inputs))
    model = keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling1D()(hidden)))
    x = rng.normal(size=(2, 4, 8))
    method().explain(model, x, 0)
    traced = len(runs)
    method().explain(model, x + 1, 2)
    method().explain(model, x, [1, 2])
    assert len(runs) == traced


def test_a_subclass_has_to_say_its_rule():
    with pytest.raises(NotImplementedError, match=r"RolloutMethod must define rule\(\)"):
        RolloutMethod().rule()
