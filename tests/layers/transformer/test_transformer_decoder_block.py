import keras
import numpy as np
import pytest
from keras import ops
from oracles.attention import layer_norm_loop, multi_head_attention_loop
from oracles.transformer_block import three_branches

from keras_arch.layers import (
    ALiBiBias,
    LinearAttention,
    MultiHeadAttention,
    RelativePositionBias,
    RotaryEmbedding,
    TransformerDecoderBlock,
)

pytestmark = pytest.mark.backend

PLACEMENTS = {
    "pre": {},
    "post": {"norm_placement": "post"},
    "sandwich": {"norm_placement": "sandwich"},
    "deepnorm": {"norm_placement": "deepnorm", "num_layers": (2, 5)},
    "parallel": {"parallel": True},
}
NORMS = ("attention_norm", "attention_output_norm", "cross_attention_norm", "cross_attention_output_norm")
NORMS = ("norm", *NORMS, "feed_forward_norm", "feed_forward_output_norm")


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def randomized(block, shapes, rng):
    block.build(*shapes)
    block.set_weights([rng.standard_normal(w.shape).astype("float32") * 0.4 for w in block.weights])
    return block


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 4, 6)).astype("float32")


@pytest.fixture
def memory(rng):
    return rng.standard_normal((2, 5, 3)).astype("float32")


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_output_equals_the_loop(x, memory, rng, placement):
    block = TransformerDecoderBlock(2, 9, activation="relu", **PLACEMENTS[placement])
    randomized(block, (x.shape, memory.shape), rng)
    seen, seen_memory = rng.random((2, 4)) < 0.7, rng.random((2, 5)) < 0.6
    seen[:, 0] = seen_memory[:, 0] = True
    causal = seen[:, None, None, :] & seen[:, None, :, None] & np.tri(4, dtype="bool")
    across = seen_memory[:, None, None, :] & seen[:, None, :, None]

    def attend(h):
        return multi_head_attention_loop(h, h, block.attention.get_weights(), causal)[0]

    def look(h):
        return multi_head_attention_loop(h, memory, block.cross_attention.get_weights(), across)[0]

    def feed(h):
        (kernel, bias), (out, out_bias) = block.intermediate_dense.get_weights(), block.output_dense.get_weights()
        return np.maximum(h @ kernel + bias, 0) @ out + out_bias

    def norm_of(layer):
        gamma, beta = layer.get_weights()
        return lambda h: layer_norm_loop(h, gamma, beta, 1e-5)

    norms = [norm_of(getattr(block, name)) for name in NORMS if hasattr(block, name)]
    alpha = 15**0.25 if placement == "deepnorm" else 1.0
    expected = three_branches(x.astype("float64"), attend, look, feed, norms, placement, alpha)
    got, scores, cross_scores = block(x, memory, mask=seen, memory_mask=seen_memory, return_attention_scores=True)
    np.testing.assert_allclose(values(got), expected, atol=1e-5)
    assert tuple(scores.shape) == (2, 2, 4, 4)
    assert tuple(cross_scores.shape) == (2, 2, 4, 5)
    assert not values(scores)[~np.broadcast_to(causal, scores.shape)].any()
    assert not values(cross_scores)[~np.broadcast_to(across, cross_scores.shape)].any()


def test_a_step_depends_on_no_later_step_and_on_all_of_the_memory(x, memory, rng):
    block = randomized(TransformerDecoderBlock(2, 9), (x.shape, memory.shape), rng)
    full = values(block(x, memory))
    np.testing.assert_allclose(values(block(x[:, :2], memory)), full[:, :2], atol=1e-6)
    moved = memory.copy()
    moved[:, 4] += 1
    assert (np.abs(values(block(x, moved)) - full).max(-1) > 1e-4).all()


def test_masks_that_travel_act_like_the_given_ones_and_the_first_travels_on(x, memory, rng):
    block = randomized(TransformerDecoderBlock(2, 9), (x.shape, memory.shape), rng)
    seen = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], "bool")
    seen_memory = np.array([[1, 1, 1, 1, 0], [1, 0, 0, 0, 0]], "bool")
    mask, pool = keras.layers.Masking(), keras.layers.GlobalAveragePooling1D()
    x, memory = x * seen[..., None], memory * seen_memory[..., None]
    expected = block(x, memory, mask=seen, memory_mask=seen_memory)
    average = (values(expected) * seen[..., None]).sum(1) / seen.sum(1, keepdims=True)
    for extra in ({}, {"attention_mask": np.ones((4, 4), "bool")}):
        got = block(mask(x), mask(memory), **extra)
        np.testing.assert_allclose(values(got), values(expected), atol=1e-6)
        np.testing.assert_allclose(values(pool(got)), average, atol=1e-6)
    np.testing.assert_allclose(values(pool(expected)), average, atol=1e-6)
    output, *_ = block(mask(x), mask(memory), return_attention_scores=True)
    np.testing.assert_allclose(values(pool(output)), average, atol=1e-6)


def test_padding_of_inputs_and_memory_changes_nothing_in_the_real_steps(x, memory, rng):
    block = randomized(TransformerDecoderBlock(2, 9), (x.shape, memory.shape), rng)
    longer = np.concatenate([x, 100 * rng.standard_normal((2, 2, 6)).astype("float32")], axis=1)
    wider = np.concatenate([memory, 100 * rng.standard_normal((2, 3, 3)).astype("float32")], axis=1)
    masks = {"mask": np.arange(6)[None].repeat(2, 0) < 4, "memory_mask": np.arange(8)[None].repeat(2, 0) < 5}
    got = block(longer, wider, **masks)
    np.testing.assert_allclose(values(got)[:, :4], values(block(x, memory)), atol=2e-6)


def test_a_bias_and_a_mask_act_on_the_self_attention_only(x, memory, rng):
    block = randomized(TransformerDecoderBlock(2, 9), (x.shape, memory.shape), rng)
    diagonal = np.eye(4, dtype="bool")
    _, scores, cross = block(x, memory, attention_mask=diagonal, return_attention_scores=True)
    np.testing.assert_allclose(values(scores), np.broadcast_to(diagonal, (2, 2, 4, 4)), atol=1e-6)
    bias = np.where(diagonal, 0, -1e9).astype("float32")[None, None]
    _, biased, other = block(x, memory, attention_bias=bias, return_attention_scores=True)
    np.testing.assert_allclose(values(biased), values(scores), atol=1e-6)
    np.testing.assert_allclose(values(other), values(cross), atol=1e-6)


def test_sequential_and_functional_models_with_unknown_lengths(tmp_path, x, memory):
    model = keras.Sequential([keras.Input((None, 6)), TransformerDecoderBlock(2, 9), TransformerDecoderBlock(2, 9)])
    assert model.output_shape == (None, None, 6)
    assert model.predict(x, verbose=0).shape == (2, 4, 6)
    inputs, memories = keras.Input((None, 6)), keras.Input((None, 3))
    block = TransformerDecoderBlock(2, 9, cross_attention=MultiHeadAttention(3, 2))
    output, scores, cross = block(inputs, memories, return_attention_scores=True)
    assert (scores.shape, cross.shape) == ((None, 2, None, None), (None, 3, None, None))
    model = keras.Model([inputs, memories], [output, cross])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = block(x, memory, return_attention_scores=True)
    got = loaded.predict([x, memory], verbose=0)
    np.testing.assert_allclose(got[0], values(expected[0]), atol=1e-6)
    np.testing.assert_allclose(got[1], values(expected[2]), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_near_float32(x, memory, rng, policy):
    exact = randomized(TransformerDecoderBlock(2, 9), (x.shape, memory.shape), rng)
    mixed = TransformerDecoderBlock(2, 9, dtype=policy)
    mixed.build(x.shape, memory.shape)
    mixed.set_weights(exact.get_weights())
    got = mixed(x, memory)
    assert keras.backend.standardize_dtype(got.dtype) == policy.removeprefix("mixed_")
    tolerance = 0.08 if "bfloat16" in policy else 0.01
    np.testing.assert_allclose(values(got), values(exact(x, memory)), atol=tolerance)


def test_dropout_acts_on_three_branches(x, memory):
    silent = {"kernel_initializer": "zeros", "bias_initializer": "ones"}  # each branch gives ones: x + 1 + 1 + 1
    np.testing.assert_allclose(
        values(TransformerDecoderBlock(2, 9, dropout=0.5, **silent)(x, memory)), x + 3, atol=1e-6
    )
    block = TransformerDecoderBlock(2, 9, dropout=0.5, seed=3, **silent)
    free = values(block(x, memory, training=True)) - x
    assert set(np.unique(free.round(4))) == {0.0, 2.0, 4.0, 6.0}  # how many branches kept, scaled by 2


def test_memory_must_come_as_at_the_first_call(x, memory):
    with_memory, without = TransformerDecoderBlock(2, 9), TransformerDecoderBlock(2, 9)
    with_memory(x, memory)
    without(x)
    with pytest.raises(ValueError, match="memory must be passed in every call; received memory=None"):
        with_memory(x)
    with pytest.raises(ValueError, match="memory was not passed at the first call; received"):
        without(x, memory)
    with pytest.raises(ValueError, match="memory must have three axes; received"):
        TransformerDecoderBlock(2, 9)(x, memory[0])
    with pytest.raises(ValueError, match="num_layers must be a pair where there is a memory; received num_layers=3"):
        TransformerDecoderBlock(2, 9, norm_placement="deepnorm", num_layers=3)(x, memory)
    with pytest.raises(ValueError, match="num_layers must be a number where there is no memory; received"):
        TransformerDecoderBlock(2, 9, norm_placement="deepnorm", num_layers=(3, 3))(x)
    with pytest.raises(ValueError, match="cross_attention must be given where attention is; received"):
        TransformerDecoderBlock(intermediate_dim=9, attention=MultiHeadAttention(2, 3))(x, memory)
    with pytest.raises(ValueError, match="memory must be passed where cross_attention is given; received"):
        TransformerDecoderBlock(2, 9, cross_attention=MultiHeadAttention(2, 3))(x)
    with pytest.raises(ValueError, match="cross_attention must be a Keras layer; received"):
        TransformerDecoderBlock(2, 9, cross_attention=3)


CACHED = {
    "linear": lambda: LinearAttention(2, 3),
}


PARTS = ("attention", "cross_attention")


def with_parts(kind):
    return TransformerDecoderBlock(intermediate_dim=9, **{name: CACHED[kind]() for name in PARTS})


def decoded(block, x, cache, chunks, **arguments):
    """Outputs of a block that gets the steps in chunks, and its last cache."""
    outputs, start = [], 0
    for length in chunks:
        part = {name: value[:, start : start + length] for name, value in arguments.items()}
        output, cache = block(x[:, start : start + length], cache=cache, **part)
        outputs.append(values(output))
        start += length
    return np.concatenate(outputs, axis=1), cache


@pytest.mark.parametrize("kind", CACHED)
@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("placement", ["pre", "post", "parallel"])
def test_decoding_step_by_step_equals_one_call(x, memory, rng, kind, looks, placement):
    parts = {"attention": CACHED[kind](), **({"cross_attention": CACHED[kind]()} if looks else {})}
    block = TransformerDecoderBlock(intermediate_dim=9, **parts, **PLACEMENTS[placement])
    shapes, given = ((x.shape, memory.shape), {"memory": memory}) if looks else ((x.shape,), {})
    randomized(block, shapes, rng)
    full = values(block(x, **given))
    got, _ = decoded(block, x, block.make_cache(2, **given), (2, 1, 1))
    np.testing.assert_allclose(got, full, atol=1e-5)


def test_padded_steps_of_a_cached_prompt_count_no_more_than_in_one_call(x, memory, rng):
    block = randomized(with_parts("linear"), (x.shape, memory.shape), rng)
    seen = np.array([[0, 1, 1, 1], [1, 1, 1, 1]], "bool")
    masks = {"memory": memory, "memory_mask": np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], "bool")}
    full = values(block(x, mask=seen, **masks))
    got, _ = decoded(block, x, block.make_cache(2, **masks), (2, 1, 1), mask=seen)
    np.testing.assert_allclose(got[seen], full[seen], atol=1e-5)
    masking = keras.layers.Masking()
    travelling = masking(memory * masks["memory_mask"][..., None])
    got, _ = decoded(block, x, block.make_cache(2, memory=travelling), (4,), mask=seen)
    np.testing.assert_allclose(got[seen], full[seen], atol=1e-5)


def test_the_memory_is_projected_once(x, memory, rng):
    block = randomized(with_parts("linear"), (x.shape, memory.shape), rng)
    full, cache = values(block(x, memory)), block.make_cache(2, memory=memory)
    for dense in (block.cross_attention.key_dense, block.cross_attention.value_dense):
        dense.kernel.assign(np.zeros(dense.kernel.shape))
    got, _ = decoded(block, x, cache, (1, 3))
    np.testing.assert_allclose(got, full, atol=1e-5)


OPTIONS = {
    "plain": dict,
    "rotary": lambda: {"rotary_embedding": RotaryEmbedding(), "num_kv_heads": 1},
    "alibi": lambda: {"position_bias": ALiBiBias(3)},
    "buckets": lambda: {"position_bias": RelativePositionBias(3, num_buckets=4, bidirectional=False)},
}
SIZES = {"growing": {}, "static": {"max_length": 6}, "sliding": {"window": 3}}


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("option", OPTIONS)
def test_every_cache_gives_with_every_encoding_what_one_call_gives(x, memory, rng, option, size, looks):
    window = {"sliding_window": 4} if size == "sliding" else {}  # of 5 steps
    x = np.concatenate([x, x[:, :1]], axis=1)
    block = TransformerDecoderBlock(3, 9, **OPTIONS[option](), **window)
    shapes, given = ((x.shape, memory.shape), {"memory": memory}) if looks else ((x.shape,), {})
    randomized(block, shapes, rng)
    full = values(block(x, **given))
    got, cache = decoded(block, x, block.make_cache(2, **SIZES[size], **given), (2, 1, 1, 1))
    np.testing.assert_allclose(got, full, atol=1e-5)
    assert int(cache.self_attention.length) == 5


@pytest.mark.parametrize("looks", [False, True])
def test_a_compiled_loop_decodes_with_a_static_cache(x, memory, rng, looks):
    block = TransformerDecoderBlock(3, 9, rotary_embedding=RotaryEmbedding())
    shapes, given = ((x.shape, memory.shape), {"memory": memory}) if looks else ((x.shape,), {})
    randomized(block, shapes, rng)

    class Decoding(keras.Model):
        def call(self, steps):
            def step(t, cache, outputs):
                output, cache = block(ops.slice(steps, (0, t, 0), (2, 1, 6)), cache=cache)
                return t + 1, cache, ops.slice_update(outputs, (0, t, 0), output)

            start = (ops.zeros((), "int32"), block.make_cache(2, max_length=4, **given), ops.zeros((2, 4, 6)))
            return ops.while_loop(lambda t, cache, outputs: t < 4, step, start)[2]

    np.testing.assert_allclose(Decoding().predict(x, verbose=0), values(block(x, **given)), atol=1e-5)


def test_scores_come_before_the_cache(x, memory, rng):
    block = randomized(TransformerDecoderBlock(2, 9), (x.shape, memory.shape), rng)
    expected = block(x, memory, return_attention_scores=True)
    got = block(x, cache=block.make_cache(2, memory=memory), return_attention_scores=True)
    assert len(got) == 4
    for one, other in zip(got, expected, strict=False):
        np.testing.assert_allclose(values(one), values(other), atol=1e-5)


def test_a_cache_of_linear_attention_keeps_its_float32_sums_in_mixed_precision(x):
    block = TransformerDecoderBlock(intermediate_dim=9, attention=LinearAttention(2, 3), dtype="mixed_bfloat16")
    block(x)
    _, cache = block(x, cache=block.make_cache(2))
    _, after = block(x[:, :1], mask=np.zeros((2, 1), "bool"), cache=cache)  # a padded step adds nothing
    sums = values(cache.self_attention.sums)
    assert (sums != values(ops.cast(sums, "bfloat16"))).any()
    np.testing.assert_array_equal(values(after.self_attention.sums), sums)


def test_a_wrong_cache_says_what_to_do(x, memory):
    with pytest.raises(ValueError, match=r"cache needs a built block; received cache=None\. Call the block once"):
        TransformerDecoderBlock(2, 9).make_cache(2)
    block = TransformerDecoderBlock(intermediate_dim=9, attention=keras.layers.MultiHeadAttention(2, 3))
    block(x)
    with pytest.raises(ValueError, match=r"attention must have make_cache .*MultiHeadAttention"):
        block.make_cache(2)
    block = with_parts("linear")
    block(x, memory)
    with pytest.raises(ValueError, match="memory must be passed in every call; received memory=None"):
        block.make_cache(2)
    with pytest.raises(ValueError, match="memory is held by the cache; received"):
        block(x, memory, cache=block.make_cache(2, memory=memory))


@pytest.mark.oracle
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one backend is enough to compare with torch")
@pytest.mark.parametrize("placement", ["pre", "post"])
def test_equals_torch_with_copied_weights(x, rng, placement):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    memory = rng.standard_normal((2, 5, 6)).astype("float32")
    options = {"dropout": 0.0, "activation": "relu", "batch_first": True, "norm_first": placement == "pre"}
    peer = torch.nn.TransformerDecoderLayer(6, 2, 9, **options)
    block = TransformerDecoderBlock(2, 9, activation="relu", norm_placement=placement)
    randomized(block, (x.shape, memory.shape), rng)
    seen = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], "bool")
    seen_memory = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], "bool")
    with torch.no_grad():
        for ours, theirs in ((block.attention, peer.self_attn), (block.cross_attention, peer.multihead_attn)):
            weights = [torch.tensor(w) for w in ours.get_weights()]
            theirs.in_proj_weight.copy_(torch.cat([w.reshape(6, 6).T for w in weights[0:6:2]]))
            theirs.in_proj_bias.copy_(torch.cat([b.reshape(6) for b in weights[1:6:2]]))
            theirs.out_proj.weight.copy_(weights[6].reshape(6, 6).T)
            theirs.out_proj.bias.copy_(weights[7])
        for ours, theirs in (
            (block.attention_norm, peer.norm1),
            (block.cross_attention_norm, peer.norm2),
            (block.feed_forward_norm, peer.norm3),
            (block.intermediate_dense, peer.linear1),
            (block.output_dense, peer.linear2),
        ):
            scale, offset = (torch.tensor(w) for w in ours.get_weights())
            theirs.weight.copy_(scale.T if scale.ndim == 2 else scale)
            theirs.bias.copy_(offset)
        expected = peer(
            torch.tensor(x),
            torch.tensor(memory),
            tgt_mask=torch.tensor(~np.tri(4, dtype="bool")),
            tgt_key_padding_mask=torch.tensor(~seen),
            memory_key_padding_mask=torch.tensor(~seen_memory),
        ).numpy()
    got = values(block(x, memory, mask=seen, memory_mask=seen_memory))
    np.testing.assert_allclose(got[seen], expected[seen], atol=1e-5)
