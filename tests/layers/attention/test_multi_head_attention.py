import inspect

import keras
import numpy as np
import pytest
from keras import ops
from oracles.attention import causal_loop, multi_head_attention_loop

from keras_arch.layers import MultiHeadAttention
from keras_arch.layers.attention.multi_head_attention import keras_parts

pytestmark = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
STOCK_VALUE_DIM = 4 if keras.backend.backend() == "jax" else 3  # Keras 3.15 fails on JAX when it differs from key_dim


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def randomized(layer, *shapes, rng):
    """Built, with every weight random, biases as well."""
    layer.build(*shapes)
    layer.set_weights([rng.standard_normal(w.shape).astype("float32") * 0.4 for w in layer.weights])
    return layer


@pytest.fixture
def inputs(rng):
    """query (2, 3, 8), memory (2, 5, 8)"""
    return rng.standard_normal((2, 3, 8)).astype("float32"), rng.standard_normal((2, 5, 8)).astype("float32")


def output_bias(layer):
    return values(layer.output_dense.bias)


@pytest.mark.parametrize("scores", [False, True])
def test_output_equals_the_loop(inputs, rng, scores):
    query, memory = inputs
    layer = randomized(MultiHeadAttention(2, 4, value_dim=3), query.shape, memory.shape, rng=rng)
    mask, bias = rng.random((2, 3, 5)) < 0.6, rng.standard_normal((1, 2, 3, 5)).astype("float32")
    mask[0, 1] = False
    expected, expected_scores = multi_head_attention_loop(query, memory, layer.get_weights(), mask[:, None], bias)
    got = layer(query, memory, attention_mask=mask, attention_bias=bias, return_attention_scores=scores)
    if scores:
        got, weights = got
        np.testing.assert_allclose(values(weights), expected_scores, atol=1e-6)
    np.testing.assert_allclose(values(got), expected, atol=5e-6)


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        ({}, {}),
        ({"use_gate": True, "value_dim": STOCK_VALUE_DIM, "use_bias": False, "output_shape": 5}, {}),
        ({}, {"use_causal_mask": True}),
        ({"sliding_window": 2}, {"use_causal_mask": True}),
        ({"attention_axes": (1, 2)}, {}),
        ({"attention_axes": -2}, {"return_attention_scores": True}),
    ],
)
def test_weights_copied_both_ways_give_what_keras_gives(arguments, call, rng):
    x = rng.standard_normal((2, 4, 3, 8) if "attention_axes" in arguments else (2, 4, 8)).astype("float32")
    stock = randomized(keras.layers.MultiHeadAttention(2, 4, **arguments), x.shape, x.shape, rng=rng)
    ours = MultiHeadAttention(2, 4, **arguments)
    ours.build(x.shape, x.shape)
    assert [w.path.split("/")[1:] for w in ours.weights] == [w.path.split("/")[1:] for w in stock.weights]
    ours.set_weights(stock.get_weights())
    back = keras.layers.MultiHeadAttention.from_config(stock.get_config())
    back.build(x.shape, x.shape)
    back.set_weights(ours.get_weights())
    for got, expected, returned in zip(
        *(keras.tree.flatten(m(x, x, **call)) for m in (ours, stock, back)), strict=True
    ):
        np.testing.assert_allclose(values(got), values(expected), atol=1e-6)
        np.testing.assert_allclose(values(returned), values(expected), atol=1e-6)


def sequence_model(layer_class):
    inputs = keras.Input((4, 8))
    return keras.Model(inputs, layer_class(2, 4)(inputs, inputs))


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_files_of_a_keras_model_load_into_ours_and_back(tmp_path, name, rng):
    stock, ours, back = (
        sequence_model(c)
        for c in (keras.layers.MultiHeadAttention, MultiHeadAttention, keras.layers.MultiHeadAttention)
    )
    x = rng.standard_normal((2, 4, 8)).astype("float32")
    for source, target in ((stock, ours), (ours, back)):
        path = tmp_path / f"{source.name}-{name}"
        source.save(path) if name.endswith(".keras") else source.save_weights(path)
        target.load_weights(path)
        np.testing.assert_allclose(values(target(x)), values(stock(x)), atol=1e-6)


def test_lora_and_int8_quantization_reach_the_projections(rng):
    model, x = sequence_model(MultiHeadAttention), rng.standard_normal((2, 4, 8)).astype("float32")
    before = values(model(x))
    model.quantize("int8", filters=lambda layer: isinstance(layer, keras.layers.EinsumDense))
    attention = model.layers[-1]
    assert keras.backend.standardize_dtype(attention.query_dense.kernel.dtype) == "int8"
    assert np.abs(values(model(x)) - before).max() < 0.05
    low_rank = randomized(MultiHeadAttention(2, 4), x.shape, x.shape, rng=rng)
    before = values(low_rank(x, x))
    low_rank.query_dense.enable_lora(2)
    np.testing.assert_allclose(values(low_rank(x, x)), before, atol=1e-6)
    assert len(low_rank.trainable_weights) == 9


def test_causal_queries_stand_at_the_end_of_the_keys(rng):
    x = rng.standard_normal((2, 6, 8)).astype("float32")
    for layer in (MultiHeadAttention(2, 4), MultiHeadAttention(2, 4, sliding_window=3)):
        whole, whole_scores = layer(x, x, use_causal_mask=True, return_attention_scores=True)
        newest, scores = layer(x[:, 4:], x, use_causal_mask=True, return_attention_scores=True)
        np.testing.assert_allclose(values(newest), values(whole)[:, 4:], atol=1e-6)
        np.testing.assert_allclose(values(scores), values(whole_scores)[:, :, 4:], atol=1e-6)
        np.testing.assert_allclose(values(layer(x[:, 4:], x, use_causal_mask=True)), values(newest), atol=1e-6)
    _, scores = MultiHeadAttention(1, 4)(x, x[:, :4], use_causal_mask=True, return_attention_scores=True)
    np.testing.assert_array_equal(values(scores)[0, 0] > 0, causal_loop(6, 4))


PATHS = {
    "plain": ({}, {}),
    "scores": ({}, {"return_attention_scores": True}),
    "dropout": ({"dropout": 1e-7}, {"training": True}),
    "dropout and scores": ({"dropout": 1e-7}, {"training": True, "return_attention_scores": True}),
    "any axes": ({"attention_axes": (1,)}, {}),
    "gate": ({"use_gate": True}, {}),
}


@pytest.mark.parametrize(
    ("path", "hidden_by"),
    [(path, "attention_mask") for path in PATHS]
    + [(path, by) for path in ("plain", "scores") for by in ("query_mask", "value_mask", "attention_bias")],
)
def test_a_query_that_sees_nothing_gets_zeros_on_every_path(inputs, rng, path, hidden_by):
    arguments, call = PATHS[path]
    query, memory = inputs
    layer = randomized(MultiHeadAttention(2, 4, **arguments), query.shape, memory.shape, rng=rng)
    mask = np.ones((2, 3, 5), "bool")
    mask[1] = False  # nothing for the second sample
    hide = {
        "attention_mask": mask,
        "attention_bias": np.where(mask, 0.0, -np.inf).astype("float32")[:, None],
        "query_mask": mask[:, :, 0],
        "value_mask": mask[:, 0],
    }
    got = keras.tree.flatten(layer(query, memory, **{hidden_by: hide[hidden_by]}, **call))
    np.testing.assert_array_equal(values(got[0])[1], np.broadcast_to(output_bias(layer), (3, 8)))
    unmasked = keras.tree.flatten(layer(query, memory, **call))
    for masked, free in zip(got, unmasked, strict=True):
        np.testing.assert_allclose(values(masked)[0], values(free)[0], atol=1e-6)
    if len(got) == 2:
        assert not values(got[1])[1].any()


def test_all_paths_agree_under_masks(inputs, rng):
    query, memory = inputs
    mask = rng.random((2, 3, 5)) < 0.4
    mask[0, 0] = False
    results = []
    for arguments, call in PATHS.values():
        if "use_gate" not in arguments:
            layer = MultiHeadAttention(2, 4, **arguments)
            randomized(layer, query.shape, memory.shape, rng=np.random.default_rng(7))
            results.append(values(keras.tree.flatten(layer(query, memory, attention_mask=mask, **call))[0]))
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=2e-6)


def test_scores_are_those_before_dropout(inputs):
    query, memory = inputs
    layer = MultiHeadAttention(2, 4, dropout=0.5, seed=1)
    free, scores = layer(query, memory, return_attention_scores=True, training=True)
    steady, expected = layer(query, memory, return_attention_scores=True)
    np.testing.assert_allclose(values(scores), values(expected), atol=1e-6)
    assert np.abs(values(free) - values(steady)).max() > 1e-3


def test_masks_travel_with_the_output_and_stay_on_the_input(inputs):
    query, memory = inputs
    mask = np.array([[True, True, False], [True, False, False]])
    layer, pool = MultiHeadAttention(2, 4), keras.layers.GlobalAveragePooling1D()
    output = layer(query, memory, query_mask=ops.convert_to_tensor(mask))
    expected = (values(output) * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    np.testing.assert_allclose(values(pool(output)), expected, atol=1e-6)

    masked = keras.layers.Masking()(query * mask[..., None])
    before = values(pool(masked))
    implicit = layer(masked, memory)
    np.testing.assert_allclose(values(pool(masked)), before, atol=1e-6)
    explicit = layer(query * mask[..., None], memory, query_mask=mask)
    np.testing.assert_allclose(values(implicit), values(explicit), atol=1e-6)
    np.testing.assert_allclose(values(pool(implicit)), values(pool(explicit)), atol=1e-6)


def test_masks_and_bias_over_the_middle_axis_equal_slices(rng):
    x, memory = rng.standard_normal((2, 3, 4, 8)).astype("float32"), rng.standard_normal((2, 5, 4, 8)).astype("float32")
    query_mask, value_mask = rng.random((2, 3, 4)) < 0.7, rng.random((2, 5, 4)) < 0.7
    bias = rng.standard_normal((3, 5)).astype("float32")
    layer = randomized(MultiHeadAttention(2, 4, attention_axes=1), x.shape, memory.shape, rng=rng)
    sequences = MultiHeadAttention(2, 4)
    sequences.build((2, 3, 8), (2, 5, 8))
    sequences.set_weights(layer.get_weights())
    call = {"attention_bias": bias, "use_causal_mask": True}
    got = values(layer(x, memory, query_mask=query_mask, value_mask=value_mask, **call))
    for i in range(4):
        masks = {"query_mask": query_mask[:, :, i], "value_mask": value_mask[:, :, i]}
        expected = values(sequences(x[:, :, i], memory[:, :, i], **masks, **call))
        np.testing.assert_allclose(got[:, :, i], expected, atol=2e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float16", "bfloat16"])
def test_low_precision_is_near_float32(inputs, rng, policy):
    query, memory = inputs
    exact = randomized(MultiHeadAttention(2, 4), query.shape, memory.shape, rng=rng)
    low = MultiHeadAttention(2, 4, dtype=policy)
    low.build(query.shape, memory.shape)
    low.set_weights(exact.get_weights())
    mask, bias = rng.random((2, 3, 5)) < 0.6, np.where(rng.random((3, 5)) < 0.8, 0.0, -1e9).astype("float32")
    mask[0, 0] = False
    call = {"attention_mask": mask, "attention_bias": bias}
    tolerance = 0.05 if "bfloat16" in policy else 0.006
    for scores in (False, True):
        got = keras.tree.flatten(low(query, memory, return_attention_scores=scores, **call))
        expected = keras.tree.flatten(exact(query, memory, return_attention_scores=scores, **call))
        for a, b in zip(got, expected, strict=True):
            assert keras.backend.standardize_dtype(a.dtype) == low.compute_dtype
            np.testing.assert_allclose(values(a), values(b), atol=tolerance * max(1, np.abs(values(b)).max()))


@pytest.mark.parametrize(
    ("arguments", "query", "memory"),
    [({}, (2, 3, 8), (2, 5, 8)), ({"attention_axes": (2,)}, (2, 3, 4, 8), (2, 3, 5, 8))],
)
def test_symbolic_scores_have_the_shape_of_real_ones(arguments, query, memory):
    layer = MultiHeadAttention(6, 4, **arguments)
    symbolic = layer(keras.Input(query[1:]), keras.Input(memory[1:]), return_attention_scores=True)
    real = layer(np.zeros(query, "float32"), np.zeros(memory, "float32"), return_attention_scores=True)
    assert [tuple(s.shape)[1:] for s in symbolic] == [tuple(r.shape)[1:] for r in real]


def test_unknown_lengths_compiled_by_xla(rng):
    query, memory = keras.Input((None, 8)), keras.Input((None, 8))
    layer = MultiHeadAttention(2, 4)
    model = keras.Model([query, memory], layer(query, memory, use_causal_mask=True))
    assert model.output_shape == (None, None, 8)
    model.compile(jit_compile=keras.backend.backend() != "torch")
    for queries, keys in ((3, 5), (4, 4)):
        x, m = rng.standard_normal((2, queries, 8)), rng.standard_normal((2, keys, 8))
        mask = causal_loop(queries, keys)
        got = model.predict([x.astype("float32"), m.astype("float32")], verbose=0)
        np.testing.assert_allclose(got, values(layer(x, m, attention_mask=mask)), atol=2e-6)


def test_config_keeps_every_argument():
    arguments = {
        "num_heads": 3,
        "key_dim": 4,
        "value_dim": 5,
        "use_bias": False,
        "output_shape": (6,),
        "attention_axes": (1,),
        "sliding_window": 7,
        "flash_attention": True,
        "use_gate": True,
        "seed": 8,
    }
    layer = MultiHeadAttention.from_config(MultiHeadAttention(**arguments).get_config())
    config = layer.get_config()
    assert {name: config[name] for name in arguments} == arguments
    assert set(inspect.signature(MultiHeadAttention.__init__).parameters) - {"self", "kwargs"} <= set(config) | {
        "activity_regularizer"
    }


@pytest.mark.skipif(not ON_TENSORFLOW, reason="JAX and PyTorch have flash attention")
def test_flash_attention_without_a_kernel_says_so(inputs):
    with pytest.raises(ValueError, match=r"flash_attention=True needs the JAX or the PyTorch backend.*'tensorflow'"):
        MultiHeadAttention(2, 4, flash_attention=True)(*inputs)


@pytest.mark.parametrize(
    ("arguments", "call", "message"),
    [
        ({}, {"attention_bias": np.zeros((2, 3, 5))}, r"attention_bias must broadcast .*\(2, 2, 3, 5\).*\(2, 3, 5\)"),
        ({}, {"attention_bias": np.zeros((1, 2, 5, 3))}, r"received the shape \(1, 2, 5, 3\)"),
        ({}, {"attention_mask": np.ones((2, 4, 5), "bool")}, r"attention_mask must broadcast"),
        ({}, {"attention_mask": np.ones((5,), "bool")}, r"Give it the rank 2 or 4"),
    ],
)
def test_masks_and_biases_that_do_not_fit_are_refused(inputs, arguments, call, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(2, 4, **arguments)(*inputs, **call)


def test_order_over_two_axes_is_refused(rng):
    x = rng.standard_normal((1, 3, 4, 8)).astype("float32")
    with pytest.raises(ValueError, match="use_causal_mask needs one attention axis"):
        MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    with pytest.raises(ValueError, match="sliding_window needs one attention axis"):
        MultiHeadAttention(2, 4, sliding_window=2)(x, x)


def test_private_names_of_keras_still_stand():
    """Seen in Keras 3.15. If one moves, `_compute_attention` and `keras_parts` are the places to look at."""
    hook = inspect.signature(keras.layers.MultiHeadAttention._compute_attention).parameters
    assert list(hook)[:7] == [
        "self",
        "query",
        "key",
        "value",
        "attention_mask",
        "training",
        "return_attention_scores",
    ]
    layer = MultiHeadAttention(2, 4, use_gate=True, dropout=0.25)
    layer.build((1, 3, 8), (1, 3, 8))
    gate, dropout = keras_parts(layer)
    assert isinstance(gate, keras.layers.EinsumDense)
    assert dropout.rate == 0.25


def test_a_subclass_with_an_attention_of_its_own_gets_the_causal_mask(inputs):
    class Average(MultiHeadAttention):
        def _compute_attention(self, query, key, value, attention_mask=None, training=None, scores=False):
            weights = ops.cast(ops.broadcast_to(attention_mask, (2, 1, 3, 5)), value.dtype)
            weights = weights / ops.sum(weights, axis=-1, keepdims=True)
            return ops.einsum("bnts,bsnh->btnh", ops.repeat(weights, 2, axis=1), value), None

    query, memory = inputs
    layer = Average(2, 4)
    got = values(layer(query, memory, use_causal_mask=True))
    value = values(layer.value_dense(memory))
    averages = np.stack([value[:, : 3 + t].mean(axis=1) for t in range(3)], axis=1)
    np.testing.assert_allclose(got, values(layer.output_dense(averages)), atol=1e-6)


@pytest.mark.oracle
@pytest.mark.skipif(not ON_TENSORFLOW, reason="one backend is enough to compare with torch")
def test_equals_torch_with_copied_weights(rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    peer = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
    query, memory = rng.standard_normal((2, 3, 8)).astype("float32"), rng.standard_normal((2, 5, 8)).astype("float32")
    layer = randomized(MultiHeadAttention(2, 4), query.shape, memory.shape, rng=rng)
    weights = layer.get_weights()
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.tensor(np.concatenate([w.reshape(8, 8).T for w in weights[0:6:2]])))
        peer.in_proj_bias.copy_(torch.tensor(np.concatenate([b.reshape(8) for b in weights[1:6:2]])))
        peer.out_proj.weight.copy_(torch.tensor(weights[6].reshape(8, 8).T))
        peer.out_proj.bias.copy_(torch.tensor(weights[7]))
        bias, seen = rng.standard_normal((3, 5)).astype("float32"), np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], "bool")
        padding = torch.tensor(np.where(seen, 0.0, -np.inf).astype("float32"))
        q, m = torch.tensor(query), torch.tensor(memory)
        expected, scores = peer(
            q, m, m, attn_mask=torch.tensor(bias), key_padding_mask=padding, average_attn_weights=False
        )
    got = layer(query, memory, value_mask=seen, attention_bias=bias, return_attention_scores=True)
    np.testing.assert_allclose(values(got[0]), expected.numpy(), atol=2e-6)
    np.testing.assert_allclose(values(got[1]), scores.numpy(), atol=1e-6)
