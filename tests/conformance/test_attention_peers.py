"""Attention and position encodings against torch, x-transformers, timm and KerasHub, which users come from."""

import logging
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import (
    ALiBiBias,
    AxialRotaryEmbedding2D,
    MultiHeadAttention,
    RelativePositionBias,
    RelativePositionBias2D,
    RotaryEmbedding,
    SinusoidalPositionEncoding,
    TransformerEncoderBlock,
)
from keras_arch.ops.sequence_attention import sequence_attention

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one backend is enough to compare with peers"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


def peer(name):
    logging.disable(logging.CRITICAL)  # what a peer logs at import is none of ours
    try:
        with pytest.MonkeyPatch.context() as patch:
            if "triton" not in sys.modules:  # its LLVM beside TensorFlow's aborts the process
                patch.setitem(sys.modules, "triton", None)
            return pytest.importorskip(name, reason="needs the extra keras-arch[peers]")
    finally:
        logging.disable(logging.NOTSET)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def normal(rng, *shape):
    return rng.standard_normal(shape).astype("float32")


def randomized(layer, *shapes):
    """Built, with every weight random."""
    layer.build(*shapes)
    random = np.random.default_rng(3)
    layer.set_weights([normal(random, *w.shape) * 0.4 for w in layer.weights])
    return layer


TORCH_CASES = {
    "plain": {},
    "causal": {"causal": True},
    "bias": {"bias": (2, 4, 7, 7)},
    "bias of all heads": {"bias": (1, 1, 7, 7)},
    "mask": {"mask": (2, 4, 7, 7)},
    "grouped": {"key_heads": 2},
    "grouped, causal": {"key_heads": 1, "causal": True},
    "grouped, bias": {"key_heads": 2, "bias": (2, 4, 7, 7)},
}


@pytest.mark.parametrize("implementation", ["dense", "blockwise", "banded"])
@pytest.mark.parametrize("case", TORCH_CASES)
def test_outputs_and_gradients_are_torchs(case, implementation, torch, rng):
    import tensorflow as tf

    case = {"key_heads": 4, "causal": False, **TORCH_CASES[case]}
    shapes = [(2, 7, 4, 5), (2, 7, case["key_heads"], 5), (2, 7, case["key_heads"], 6)]
    inputs, target = [normal(rng, *shape) for shape in shapes], normal(rng, 2, 7, 4, 6)
    bias = normal(rng, *case["bias"]) if "bias" in case else None
    mask = rng.random(case["mask"]) < 0.6 if "mask" in case else None
    mask = mask if mask is None else mask | np.eye(7, dtype="bool")

    theirs = [torch.tensor(x.swapaxes(1, 2), requires_grad=True) for x in inputs]
    added = bias if bias is not None else mask
    expected = torch.nn.functional.scaled_dot_product_attention(
        *theirs,
        attn_mask=None if added is None else torch.tensor(added),
        is_causal=case["causal"],
        enable_gqa=case["key_heads"] != 4,
    )
    (expected.transpose(1, 2) * torch.tensor(target)).sum().backward()

    ours = [tf.constant(x) for x in inputs]
    window = {"window": 7} if implementation == "banded" else {}  # shows all
    with tf.GradientTape() as tape:
        tape.watch(ours)
        output, _ = sequence_attention(
            *ours,
            () if mask is None else (mask,),
            bias,
            implementation=implementation,
            scale=5**-0.5,
            causal=case["causal"],
            **window,
        )
        total = tf.reduce_sum(output * target)
    np.testing.assert_allclose(values(output), expected.detach().numpy().swapaxes(1, 2), atol=1e-6)
    for got, x in zip(tape.gradient(total, ours), theirs, strict=True):
        np.testing.assert_allclose(values(got), x.grad.numpy().swapaxes(1, 2), atol=5e-6)


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_of_two_layers_is_torchs(norm_first, torch, rng):
    x, seen = normal(rng, 2, 6, 8), np.array([[1, 1, 1, 1, 0, 0], [1] * 6], "bool")
    layer = torch.nn.TransformerEncoderLayer(
        8, 2, 16, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm_first
    )
    encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.copy_(torch.tensor(normal(rng, *weight.shape) * 0.3))
        expected = encoder(torch.tensor(x), src_key_padding_mask=torch.tensor(~seen)).numpy()

    output = x
    for part in encoder.layers:
        state = {name: weight.numpy() for name, weight in part.state_dict().items()}
        block = TransformerEncoderBlock(2, 16, norm_placement="pre" if norm_first else "post")
        block.build(x.shape)
        kernels = [kernel.T.reshape(8, 2, 4) for kernel in np.split(state["self_attn.in_proj_weight"], 3)]
        biases = [bias.reshape(2, 4) for bias in np.split(state["self_attn.in_proj_bias"], 3)]
        block.set_weights(
            [
                *(state["norm1.weight"], state["norm1.bias"]),
                *(weight for pair in zip(kernels, biases, strict=True) for weight in pair),
                *(state["self_attn.out_proj.weight"].T.reshape(2, 4, 8), state["self_attn.out_proj.bias"]),
                *(state["norm2.weight"], state["norm2.bias"]),
                *(state["linear1.weight"].T, state["linear1.bias"]),
                *(state["linear2.weight"].T, state["linear2.bias"]),
            ]
        )
        output = block(output, mask=seen)
    np.testing.assert_allclose(values(output)[seen], expected[seen], atol=1e-5)


X_LAYOUTS = {"interleaved": {}, "part of a head": {"rotary_dim": 4}, "slower": {"max_wavelength": 500.0}}


@pytest.mark.parametrize("layout", X_LAYOUTS)
def test_interleaved_rotary_embedding_is_that_of_x_transformers(layout, torch, rng):
    module = peer("x_transformers.x_transformers")
    arguments, x = X_LAYOUTS[layout], normal(rng, 2, 9, 3, 8)
    theirs = module.RotaryEmbedding(arguments.get("rotary_dim", 8), base=arguments.get("max_wavelength", 10000.0))
    angles, _ = theirs.forward_from_seq_len(9)
    expected = module.apply_rotary_pos_emb(torch.tensor(x.swapaxes(1, 2)), angles).numpy().swapaxes(1, 2)
    got = RotaryEmbedding(interleaved=True, **arguments)(x)
    np.testing.assert_allclose(values(got), expected, atol=2e-6)
    # Half-split is the same with the features of a pair brought together.
    turned = arguments.get("rotary_dim", 8)
    order = [*np.arange(turned).reshape(2, -1).T.reshape(-1), *range(turned, 8)]
    halves = RotaryEmbedding(**arguments)(x[..., np.argsort(order)])
    np.testing.assert_allclose(values(halves)[..., order], expected, atol=2e-6)


@pytest.mark.parametrize("heads", [1, 4, 6, 12])
def test_alibi_is_that_of_x_transformers(heads, torch):
    theirs = peer("x_transformers.x_transformers").AlibiPositionalBias(heads)
    for queries, keys in ((6, 6), (2, 7)):
        got = ALiBiBias(heads)(np.zeros((1, queries, 4)), np.zeros((1, keys, 4)))
        np.testing.assert_allclose(values(got)[0], theirs.forward(queries, keys).numpy(), rtol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("buckets", "distance"), [(32, 128), (16, 50)])
def test_bucketed_bias_is_that_of_x_transformers(buckets, distance, causal, torch, rng):
    module = peer("x_transformers.x_transformers")
    theirs = module.RelativePositionBias(1.0, causal=causal, num_buckets=buckets, max_distance=distance, heads=2)
    table = normal(rng, buckets, 2)
    ours = RelativePositionBias(2, buckets, distance, bidirectional=not causal)
    ours.build()
    ours.set_weights([table])
    with torch.no_grad():
        theirs.relative_attention_bias.weight.copy_(torch.tensor(table))
        expected = theirs(200, 260).numpy()
    got = values(ours(np.zeros((1, 200, 4)), np.zeros((1, 260, 4))))[0]
    # Their float32 logarithm may drop a distance that stands on the edge of a bucket into the bucket before.
    wrong = np.unique((np.arange(260)[None] - (np.arange(200) + 60)[:, None])[(got != expected).any(axis=0)])
    assert set(np.abs(wrong)) <= edges_of_buckets(buckets if causal else buckets // 2, distance)


def edges_of_buckets(buckets, distance):
    """Distances whose exact logarithm is a whole number of buckets."""
    exact, steps = buckets // 2, buckets - buckets // 2
    return {
        d
        for d in range(exact, distance + 1)
        if any(d**steps == exact ** (steps - j) * distance**j for j in range(steps + 1))
    }


@pytest.mark.parametrize("extra", ["grouped", "sinks", "soft cap", "ALiBi"])
def test_attention_of_recent_models_is_that_of_x_transformers(extra, torch, rng):
    """Whole layers with rotary embedding, grouped heads and a causal mask, and one thing more, with copied weights."""
    module, x = peer("x_transformers.x_transformers"), normal(rng, 2, 9, 16)
    options = {"sinks": {"head_learned_sink": True}}
    options["soft cap"] = {"softclamp_logits": True, "logit_softclamp_value": 2.0}
    theirs = module.Attention(16, dim_head=8, heads=4, kv_heads=2, causal=True, flash=False, **options.get(extra, {}))
    arguments = {
        "sinks": {"sinks": True},
        "soft cap": {"logit_soft_cap": 2.0},
        "ALiBi": {"position_bias": ALiBiBias(4)},
    }.get(extra, {})
    rotary = RotaryEmbedding(interleaved=True)
    ours = MultiHeadAttention(4, 8, num_kv_heads=2, use_bias=False, rotary_embedding=rotary, **arguments)
    randomized(ours, x.shape, x.shape)
    sinks = [values(ours.sink_scores)] if ours.sinks else []
    query, key, value, output = (
        values(getattr(ours, f"{name}_dense").kernel) for name in ("query", "key", "value", "output")
    )
    # Query head n meets key head n % 2 there, n // 2 here and in torch.
    order = [0, 2, 1, 3]
    kernels = (theirs.to_q, query[:, order]), (theirs.to_k, key), (theirs.to_v, value)
    relative = module.AlibiPositionalBias(4)
    relative.slopes.copy_(relative.slopes[order])
    with torch.no_grad():
        for linear, kernel in kernels:
            linear.weight.copy_(torch.tensor(kernel.reshape(16, -1).T))
        theirs.to_out.weight.copy_(torch.tensor(output[order].reshape(32, 16).T))
        if sinks:
            theirs.attend.head_attn_sink.copy_(torch.tensor(sinks[0][order]))
        expected = theirs.eval()(
            torch.tensor(x),
            rotary_pos_emb=module.RotaryEmbedding(8).forward_from_seq_len(9),
            rel_pos=relative if extra == "ALiBi" else None,
        )
    expected = expected[0] if isinstance(expected, tuple) else expected
    np.testing.assert_allclose(values(ours(x, x, use_causal_mask=True)), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("interleaved", [False, True])
def test_axial_rotary_embedding_is_that_of_timm(interleaved, torch, rng):
    timm = peer("timm.layers")
    x = normal(rng, 2, 12, 3, 8)
    sine, cosine = timm.build_rotary_pos_embed(
        [3, 4], dim=8, temperature=100.0, in_pixels=False, rotate_half=not interleaved
    )
    expected = timm.apply_rot_embed(torch.tensor(x.swapaxes(1, 2)), sine, cosine, half=not interleaved)
    got = AxialRotaryEmbedding2D((3, 4), interleaved=interleaved)(x)
    np.testing.assert_allclose(values(got), expected.numpy().swapaxes(1, 2), atol=2e-6)


@pytest.mark.parametrize("class_token", [False, True])
def test_relative_bias_of_a_window_is_that_of_timm(class_token, torch, rng):
    timm = peer("timm.layers")
    theirs = timm.RelPosBias((2, 3), num_heads=4, prefix_tokens=int(class_token))
    ours = randomized(RelativePositionBias2D(4, (2, 3), class_token=class_token))
    with torch.no_grad():
        theirs.relative_position_bias_table.copy_(torch.tensor(ours.get_weights()[0]))
        expected = theirs.get_bias().numpy()
    got = ours(np.zeros((1, 6 + class_token, 4)))
    np.testing.assert_array_equal(values(got), expected)


HUB_SCALINGS = {
    "none": ({}, None),
    "linear": ({"scaling_factor": 4.0}, {"type": "linear", "factor": 4.0}),
    "yarn": (
        {"rope_type": "yarn", "scaling_factor": 4.0, "original_max_position_embeddings": 64},
        {"type": "yarn", "factor": 4.0, "original_length": 64},
    ),
}


@pytest.mark.parametrize("scaling", HUB_SCALINGS)
def test_half_split_rotary_embedding_is_that_of_keras_hub(scaling, rng):
    theirs, ours = HUB_SCALINGS[scaling]
    theirs = peer("keras_hub").layers.RotaryEmbedding(max_wavelength=10000, **theirs)
    x = normal(rng, 2, 9, 3, 16)
    ours = RotaryEmbedding(scaling=ours)
    np.testing.assert_allclose(values(ours(x)), values(theirs(x)), atol=5e-6)
    np.testing.assert_allclose(values(ours(x, start_index=40)), values(theirs(x, start_index=40)), atol=2e-5)


def test_sinusoids_are_those_of_keras_hub_in_float32(rng):
    theirs, x = peer("keras_hub").layers.SinePositionEncoding(), np.zeros((1, 30, 8), "float32")
    ours = SinusoidalPositionEncoding()
    np.testing.assert_allclose(values(ours(x)), values(theirs(x)), atol=5e-6)
    np.testing.assert_allclose(values(ours(x, start_index=50)), values(theirs(x, start_index=50)), atol=1e-5)


@pytest.mark.parametrize("heads", [4, 6])
def test_alibi_of_keras_hub_gives_the_same_weights_under_a_causal_mask(heads, rng):
    """Theirs counts from the last key, which softmax can't see."""
    theirs, scores = peer("keras_hub").layers.AlibiBias(), normal(rng, 1, heads, 7, 7)
    mask = np.where(np.tril(np.ones((7, 7), "bool")), 0.0, -1e9).astype("float32")
    got = ops.softmax(scores + ALiBiBias(heads)(np.zeros((1, 7, 4))) + mask)
    np.testing.assert_allclose(values(got), values(ops.softmax(theirs(scores) + mask)), atol=1e-6)


def test_cached_decoding_is_that_of_keras_hub(rng):
    theirs = peer("keras_hub").layers.CachedMultiHeadAttention(num_heads=2, key_dim=4)
    x = normal(rng, 2, 6, 8)
    ours = randomized(MultiHeadAttention(2, 4), x.shape, x.shape)
    theirs.build(x.shape, x.shape)
    theirs.set_weights(ours.get_weights())
    their_cache, cache = ops.zeros((2, 2, 6, 2, 4)), ours.make_cache(2, max_length=6)
    for start, stop in ((0, 3), (3, 4), (4, 6)):
        step, seen = x[:, start:stop], np.tril(np.ones((6, 6), "bool"))[None, start:stop]
        expected, their_cache = theirs(
            step, step, cache=their_cache, cache_update_index=start, attention_mask=np.repeat(seen, 2, axis=0)
        )
        got, cache = ours(step, step, cache=cache, use_causal_mask=True)
        np.testing.assert_allclose(values(got), values(expected), atol=2e-6)
        np.testing.assert_allclose(values(cache.key), values(their_cache[:, 0]), atol=2e-6)
        np.testing.assert_allclose(values(cache.value), values(their_cache[:, 1]), atol=2e-6)
