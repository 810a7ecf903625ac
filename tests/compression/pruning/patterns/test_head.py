"""Heads and the features inside blocks: which go, and that the shrunk model is the masked one."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

import keras_arch as ka
from keras_arch.compression import prune, shrink, shrink_report

pytestmark = pytest.mark.backend

ON_JAX = keras.backend.backend() == "jax"


def randomized(model, rng):
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape, scale=0.5))
    return model


def attention(layer):
    inputs = keras.Input((None, 12))
    return keras.Model(inputs, L.Dense(3, name="head")(layer(inputs, inputs)))


def vision_transformer(**options):
    inputs = keras.Input((16, 16, 3))
    x = ka.layers.PatchEmbedding(4, 12)(inputs)
    for number in range(2):
        x = ka.layers.TransformerEncoderBlock(3, 20, name=f"block_{number}", **options)(x)
    x = L.GlobalAveragePooling1D()(L.LayerNormalization()(x))
    return keras.Model(inputs, L.Dense(5, name="head")(x))


def means(slices):
    """Mean |w| over all kernels of each index along an axis."""
    rows = [np.moveaxis(np.abs(ops.convert_to_numpy(kernel)), axis, 0) for kernel, axis in slices]
    return np.concatenate([row.reshape(len(row), -1) for row in rows], axis=1).mean(axis=1)


def heads_of(layer):
    dense = (layer.query_dense, layer.key_dense, layer.value_dense)
    return [*((each.kernel, 1) for each in dense), (layer.output_dense.kernel, 0)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.MultiHeadAttention(4, 3, name="attention"),
        # Keras on JAX takes values of the keys' size only.
        lambda: L.MultiHeadAttention(4, 3, value_dim=3 if ON_JAX else 5, use_bias=False, name="attention"),
        lambda: ka.layers.MultiHeadAttention(4, 3, sinks=True, qk_norm="rms", name="attention"),
    ],
    ids=["keras", "keras_without_bias", "ours"],
)
def test_the_smallest_heads_go_and_the_shrunk_model_is_the_masked_one(rng, make):
    model = randomized(attention(make()), rng)
    layer = model.get_layer("attention")
    gone = np.argsort(means(heads_of(layer)))[:2]
    x = rng.normal(size=(2, 7, 12)).astype("float32")
    before = model.predict(x, verbose=0)
    report = prune(model, 0.5, pattern="head")
    assert report.sparsity == 0.5
    assert sorted(np.flatnonzero(means(heads_of(layer)) == 0)) == sorted(gone)
    masked = model.predict(x, verbose=0)
    assert np.abs(masked - before).max() > 1e-3
    small = shrink(model)
    assert small.get_layer("attention").num_heads == 2
    assert small.get_layer("attention").key_dim == 3
    np.testing.assert_allclose(small.predict(x, verbose=0), masked, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"use_bias": False}, {"feed_forward": "swiglu"}, {"activation": "sigmoid"}], ids=str
)
def test_a_vision_transformer_loses_heads_and_features(rng, options):
    model = randomized(vision_transformer(**options), rng)
    x = rng.normal(size=(2, 16, 16, 3)).astype("float32")
    prune(model, 1 / 3, pattern="head")
    prune(model, 0.5, pattern="channel")
    masked = model.predict(x, verbose=0)
    rows = {row.name: (row.channels, row.left) for row in shrink_report(model).layers}
    assert rows["block_0.num_heads"] == (3, 2)
    assert rows["block_1.intermediate_dim"] == (20, 10)
    small = shrink(model)
    block = small.get_layer("block_1")
    assert (block.num_heads, block.key_dim, block.intermediate_dim) == (2, 4, 10)
    assert small.count_params() == shrink_report(model).parameters_left < 0.75 * model.count_params()
    np.testing.assert_allclose(small.predict(x, verbose=0), masked, rtol=1e-5, atol=1e-5)


def grouped_weights(layer):
    """The kernels of grouped attention with their axes, and how many places of each belong to a group."""
    owners = {weight.path.split("/")[-2]: weight for weight in layer.weights if weight.name == "kernel"}
    return [(owners[name], 0 if name == "attention_output" else 1) for name in owners]


def means_of_groups(layer, groups):
    rows = [np.moveaxis(np.abs(ops.convert_to_numpy(kernel)), axis, 0) for kernel, axis in grouped_weights(layer)]
    return np.concatenate([row.reshape(groups, -1) for row in rows], axis=1).mean(axis=1)


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("kind", ["keras", "ours", "multi_query_of_each"])
def test_heads_that_share_keys_go_with_them(rng, kind, gate):
    """6 query heads on 3 key heads: the two groups with the smallest weights go, 2 query heads on 1 key head stay."""
    if kind == "keras":
        make = lambda: L.GroupQueryAttention(5, 6, 3, use_gate=gate, name="attention")  # noqa: E731
    else:
        options = {"sinks": True, "qk_norm": "rms"} if kind == "ours" else {"use_bias": False}
        make = lambda: ka.layers.MultiHeadAttention(  # noqa: E731
            6, 5, num_kv_heads=3, use_gate=gate, name="attention", **options
        )
    model = randomized(attention(make()), rng)
    layer = model.get_layer("attention")
    gone = np.argsort(means_of_groups(layer, 3))[:2]
    x = rng.normal(size=(2, 7, 12)).astype("float32")
    before = model.predict(x, verbose=0)
    assert prune(model, 2 / 3, pattern="head").sparsity == pytest.approx(2 / 3)
    assert sorted(np.flatnonzero(means_of_groups(layer, 3) == 0)) == sorted(gone)
    masked = model.predict(x, verbose=0)
    assert np.abs(masked - before).max() > 1e-3
    small = shrink(model)
    left = small.get_layer("attention").get_config()
    names = ("num_query_heads", "num_key_value_heads") if kind == "keras" else ("num_heads", "num_kv_heads")
    assert [left[name] for name in names] == [2, 1]
    biases = 0 if kind == "multi_query_of_each" else 5 * (2 + 1 + 1 + 2 * gate) + 12
    extras = 2 + 2 * 5 if kind == "ours" else 0  # scores of sinks, gammas of the features
    assert layer.count_params() > small.get_layer("attention").count_params()
    assert small.get_layer("attention").count_params() == 12 * 5 * (2 + 1 + 1 + 2 + 2 * gate) + biases + extras
    np.testing.assert_allclose(small.predict(x, verbose=0), masked, rtol=1e-5, atol=1e-5)


def test_a_query_head_whose_keys_others_need_stays(rng):
    model = randomized(attention(L.GroupQueryAttention(5, 4, 2, name="attention")), rng)
    layer = model.get_layer("attention")
    weights = layer.get_weights()
    output = next(number for number, weight in enumerate(layer.weights) if weight.shape == (4, 5, 12))
    weights[output][[0, 2, 3]] = 0  # one head of the first group, both of the second
    layer.set_weights(weights)
    x = rng.normal(size=(2, 7, 12)).astype("float32")
    small = shrink(model)
    left = small.get_layer("attention")
    assert (left.num_query_heads, left.num_key_value_heads) == (2, 1)
    np.testing.assert_allclose(small.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-5)


def test_a_transformer_with_grouped_heads_is_cut_and_loaded(rng, tmp_path):
    inputs = keras.Input((None, 12))
    x = ka.layers.TransformerEncoderBlock(6, 8, key_dim=2, num_kv_heads=2, name="block")(inputs)
    model = randomized(keras.Model(inputs, L.Dense(3, name="head")(x)), rng)
    prune(model, 0.5, pattern="head")
    x = rng.normal(size=(2, 7, 12)).astype("float32")
    small = shrink(model)
    block = small.get_layer("block")
    assert (block.num_heads, block.num_kv_heads, block.key_dim) == (3, 1, 2)
    assert small.count_params() == shrink_report(model).parameters_left
    np.testing.assert_allclose(small.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-5)
    small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), small.predict(x, verbose=0), atol=1e-6)


def test_the_smaller_blocks_are_saved_and_loaded(rng, tmp_path):
    model = randomized(vision_transformer(), rng)
    prune(model, 1 / 3, pattern="head")
    small = shrink(model)
    small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    x = rng.normal(size=(2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), small.predict(x, verbose=0), atol=1e-6)


def test_heads_of_a_subclass_and_of_nested_layers_are_masked(rng):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.block = ka.layers.TransformerEncoderBlock(4, 8, name="block")

        def call(self, x):
            return self.block(x)

    model = Own()
    model(np.ones((1, 3, 8), "float32"))
    report = prune(model, 0.5, pattern="head", targets=["block"])
    assert {row.sparsity for row in report.layers} == {0.5}
    assert len(report.layers) == 4


def test_an_activation_that_is_not_zero_at_zero_stays_where_it_is_read(rng):
    """sigmoid(0) = 1/2 goes on to the next product: only a feature nobody reads is dead."""
    layer = ka.layers.TransformerEncoderBlock(2, 4, activation="sigmoid")
    layer.build((None, 3, 8))
    kernel, bias = layer.intermediate_dense.get_weights()
    kernel[:, 1], bias[1] = 0, 0
    layer.intermediate_dense.set_weights([kernel, bias])
    feed_forward = layer.inner_channels()[0]
    assert not feed_forward.dead().any()
    reader, bias = layer.output_dense.get_weights()
    reader[2] = 0
    layer.output_dense.set_weights([reader, bias])
    assert feed_forward.dead().tolist() == [False, False, True, False]


def test_what_has_no_heads_is_refused():
    inputs = keras.Input((3, 8))
    plain = keras.Model(inputs, L.Dense(2, name="dense")(inputs))
    with pytest.raises(ValueError, match="received dense: it has no heads of its own"):
        prune(plain, 0.5, pattern="head")
    bias = ka.layers.ALiBiBias(4)
    biased = attention(ka.layers.MultiHeadAttention(4, 3, position_bias=bias, name="attention"))
    with pytest.raises(ValueError, match="attention/query: its heads can't go one by one"):
        prune(biased, 0.5, pattern="head", targets=["attention"])
    model = attention(L.MultiHeadAttention(4, 3, name="attention"))
    with pytest.raises(ValueError, match="not all kernels of its attention are targets"):
        prune(model, 0.5, pattern="head", targets=["attention/query"])
