"""What both blocks share: placements, feed-forward networks, what is done to a branch, parts by object."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import ops
from oracles.attention import multi_head_attention_loop
from oracles.transformer_block import activation, normalize, two_branches

from keras_arch.layers import (
    ALiBiBias,
    GatedFeedForward,
    MultiHeadAttention,
    RelativePositionBias,
    RotaryEmbedding,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)

pytestmark = pytest.mark.backend

BLOCKS = [TransformerEncoderBlock, TransformerDecoderBlock]
PLACEMENTS = {
    "pre": {},
    "post": {"norm_placement": "post"},
    "sandwich": {"norm_placement": "sandwich"},
    "deepnorm": {"norm_placement": "deepnorm", "num_layers": 5},
    "parallel": {"parallel": True},
    "parallel sandwich": {"parallel": True, "norm_placement": "sandwich"},
}
SILENT = {"kernel_initializer": "zeros", "bias_initializer": "ones"}  # each branch gives ones


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def randomized(block, shape, rng):
    block.build(shape)
    block.set_weights([rng.standard_normal(w.shape).astype("float32") * 0.4 for w in block.weights])
    return block


def norms_of(block):
    """The normalizations of a block in the order of its weights."""
    parts = ("attention_norm", "attention_output_norm", "feed_forward_norm", "feed_forward_output_norm")
    layers = [getattr(block, name) for name in ("norm", *parts) if hasattr(block, name)]
    return [partial(normalized, [values(weight) for weight in layer.weights]) for layer in layers]


def normalized(weights, x):
    return normalize(x, *weights)


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 4, 6)).astype("float32")


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("normalization", ["layer", "rms"])
def test_placements_equal_their_formulas(x, rng, placement, normalization):
    block = TransformerEncoderBlock(2, 9, activation="relu", normalization=normalization, **PLACEMENTS[placement])
    randomized(block, x.shape, rng)

    def attend(h):
        return multi_head_attention_loop(h, h, block.attention.get_weights())[0]

    def feed(h):
        kernel, bias = block.intermediate_dense.get_weights()
        out_kernel, out_bias = block.output_dense.get_weights()
        return activation("relu", h @ kernel + bias) @ out_kernel + out_bias

    alpha = 10**0.25 if placement == "deepnorm" else 1.0
    expected = two_branches(x.astype("float64"), attend, feed, norms_of(block), placement, alpha)
    np.testing.assert_allclose(values(block(x)), expected, atol=1e-5)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_decoder_block_without_memory_is_a_causal_encoder_block(x, rng, placement):
    encoder = randomized(TransformerEncoderBlock(2, 9, **PLACEMENTS[placement]), x.shape, rng)
    decoder = TransformerDecoderBlock(2, 9, **PLACEMENTS[placement])
    decoder.build(x.shape)
    decoder.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(values(decoder(x)), values(encoder(x, use_causal_mask=True)))
    np.testing.assert_array_equal(values(decoder(x, use_causal_mask=False)), values(encoder(x)))


@pytest.mark.parametrize(("name", "act"), [("geglu", "gelu"), ("swiglu", "silu"), ("reglu", "relu")])
@pytest.mark.parametrize("use_bias", [True, False])
def test_gated_networks_equal_their_formula(x, rng, name, act, use_bias):
    block = TransformerEncoderBlock(2, 9, feed_forward=name, norm_placement="post", use_bias=use_bias)
    randomized(block, x.shape, rng)
    for weight in block.attention.weights:
        weight.assign(np.zeros(weight.shape))
    gate, value, out = (
        block.gated_feed_forward.get_weights()[::2] if use_bias else block.gated_feed_forward.get_weights()
    )
    bias = block.gated_feed_forward.get_weights()[1::2] if use_bias else [0, 0, 0]

    def feed(h):
        return (activation(act, h @ gate + bias[0]) * (h @ value + bias[1])) @ out + bias[2]

    expected = two_branches(x.astype("float64"), np.zeros_like, feed, norms_of(block), "post")
    tolerance = 2e-3 if act == "gelu" else 1e-5  # Keras's gelu is the tanh approximation
    np.testing.assert_allclose(values(block(x)), expected, atol=tolerance)


def test_a_given_feed_forward_layer_is_used(x, rng):
    named = randomized(TransformerEncoderBlock(2, 9, feed_forward="swiglu", use_bias=False), x.shape, rng)
    given = TransformerEncoderBlock(2, use_bias=False, feed_forward=GatedFeedForward(9))
    given.build(x.shape)
    order = {weight.path.split("/", 1)[1]: weight for weight in named.weights}
    for weight in given.weights:
        path = weight.path.split("/", 1)[1]
        weight.assign(order[path.replace(given.feed_forward.name, "gated_feed_forward")])
    np.testing.assert_array_equal(values(given(x)), values(named(x)))


@pytest.mark.parametrize("block_class", BLOCKS)
@pytest.mark.parametrize("attention_class", [keras.layers.MultiHeadAttention, MultiHeadAttention])
def test_a_given_attention_layer_is_used(x, rng, block_class, attention_class):
    default = randomized(block_class(2, 9), x.shape, rng)
    given = block_class(intermediate_dim=9, attention=attention_class(2, 3, name="attention"))
    given(x)
    order = {weight.path.split("/", 1)[1]: weight for weight in default.weights}
    for weight in given.weights:
        weight.assign(order[weight.path.split("/", 1)[1]])
    seen = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], "bool")
    np.testing.assert_allclose(values(given(x)), values(default(x)), atol=1e-6)
    got, expected = (block(x, mask=seen, use_causal_mask=True) for block in (given, default))
    np.testing.assert_allclose(values(got)[seen], values(expected)[seen], atol=1e-6)


@pytest.mark.parametrize("block_class", BLOCKS)
def test_layer_scale_multiplies_each_branch(x, block_class):
    block = block_class(2, 9, layer_scale=0.1, **SILENT)
    np.testing.assert_allclose(values(block(x)), x + 0.2, atol=1e-6)
    block.attention_layer_scale.gamma.assign(np.arange(6))
    np.testing.assert_allclose(values(block(x)), x + 0.1 + np.arange(6), atol=1e-5)


@pytest.mark.parametrize("block_class", BLOCKS)
def test_stochastic_depth_drops_branches_of_whole_samples_in_training_only(rng, block_class):
    x = rng.standard_normal((64, 3, 6)).astype("float32")
    block = block_class(2, 9, stochastic_depth=0.5, seed=3, **SILENT)
    np.testing.assert_allclose(values(block(x)), x + 2, atol=1e-5)
    added = (values(block(x, training=True)) - x).round(3)
    assert (added == added[:, :1, :1]).all()
    assert set(np.unique(added)) == {0.0, 2.0, 4.0}  # neither, one (scaled by 2) or both branches of a sample kept


def test_what_is_done_to_a_branch_comes_after_the_second_norm_of_a_sandwich(x):
    block = TransformerEncoderBlock(2, 9, norm_placement="sandwich", normalization="rms", layer_scale=0.1, **SILENT)
    np.testing.assert_allclose(values(block(x)), x + 0.2, atol=1e-5)  # scaled before it, the norm would bring back 1


@pytest.mark.parametrize("feed_forward", ["mlp", "swiglu"])
def test_deepnorm_scales_the_first_values_of_what_the_paper_scales(x, feed_forward):
    class Model(keras.Model):  # its fit builds the block while it only traces shapes
        def __init__(self):
            super().__init__()
            self.block = TransformerDecoderBlock(
                2, 9, norm_placement="deepnorm", num_layers=3, kernel_initializer="ones", feed_forward=feed_forward
            )

        def call(self, inputs):
            return self.block(inputs)

    model = Model()
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    model.fit(x, x, verbose=0)
    beta = 24**-0.25
    for weight in model.block.weights:
        if weight.path.endswith("kernel"):
            expected = 1.0 if weight.path.split("/")[-2] in ("query", "key") else beta
            np.testing.assert_allclose(values(weight), expected, rtol=1e-6, err_msg=weight.path)


class Doubling(keras.layers.Layer):
    """Without a `build` of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(6)

    def call(self, inputs):
        return self.dense(inputs)


def test_given_parts_have_all_their_weights_once_the_block_is_built(x):
    block = TransformerEncoderBlock(attention=MultiHeadAttention(2, 3), feed_forward=Doubling())
    block.build(x.shape)
    assert len(block.weights) == 14
    block(x)
    assert len(block.weights) == 14


@pytest.mark.parametrize("block_class", BLOCKS)
def test_a_sliding_window_reaches_the_attention(x, rng, block_class):
    block = randomized(block_class(2, 9, sliding_window=2), x.shape, rng)
    _, scores = block(x, use_causal_mask=True, return_attention_scores=True)
    band = np.tri(4, dtype="bool") & ~np.tri(4, k=-2, dtype="bool")
    np.testing.assert_array_equal(values(scores).any((0, 1)), band)


def test_options_of_attention_reach_it_and_those_of_positions_stay_with_self_attention():
    options = {"num_kv_heads": 1, "qk_norm": "rms", "logit_soft_cap": 5.0}
    positions = {"rotary_embedding": RotaryEmbedding(), "position_bias": ALiBiBias(3), "sliding_window": 4}
    block = TransformerDecoderBlock(3, 9, **options, **positions)
    block.build((2, 4, 6), (2, 5, 3))
    for name, value in {**options, **positions}.items():
        assert getattr(block.attention, name) == value, name
        assert getattr(block.cross_attention, name) == (None if name in positions else value), name


def test_positions_reach_the_encodings(x, rng):
    for block_class in BLOCKS:
        block = randomized(block_class(3, 9, rotary_embedding=RotaryEmbedding()), x.shape, rng)
        plain, steps = values(block(x)), np.arange(4, dtype="int32")
        np.testing.assert_allclose(values(block(x, positions=steps + 7)), plain, atol=1e-5)  # only distances count
        assert np.abs(values(block(x, positions=3 * steps)) - plain).max() > 1e-3


PARTS = [
    lambda: {"attention": MultiHeadAttention(2, 5), "feed_forward": GatedFeedForward(7)},
    lambda: {
        "num_heads": 3,
        "intermediate_dim": 7,
        "rotary_embedding": RotaryEmbedding(),
        "position_bias": RelativePositionBias(3),
    },
]


@pytest.mark.parametrize("block_class", BLOCKS)
@pytest.mark.parametrize("parts", PARTS)
def test_objects_survive_a_saved_model(tmp_path, x, block_class, parts):
    inputs = keras.Input((4, 6))
    block = block_class(norm_placement="sandwich", layer_scale=0.1, stochastic_depth=0.1, seed=1, **parts())
    model = keras.Model(inputs, block(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for name in parts():
        assert type(getattr(loaded.layers[-1], name)) is type(getattr(block, name))
    np.testing.assert_array_equal(values(loaded(x)), values(model(x)))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("placement", ["sandwich", "deepnorm", "parallel"])
def test_mixed_precision_is_near_float32(x, rng, policy, placement):
    arguments = {"layer_scale": 0.5, "feed_forward": "swiglu", **PLACEMENTS[placement]}
    exact = randomized(TransformerEncoderBlock(2, 9, **arguments), x.shape, rng)
    mixed = TransformerEncoderBlock(2, 9, dtype=policy, **arguments)
    mixed.build(x.shape)
    mixed.set_weights(exact.get_weights())
    got = mixed(x)
    assert keras.backend.standardize_dtype(got.dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(values(got), values(exact(x)), atol=0.08 if "bfloat16" in policy else 0.01)


class Widening(keras.layers.Layer):
    def call(self, inputs):
        return ops.concatenate([inputs, inputs], axis=-1)


@pytest.mark.parametrize("block_class", BLOCKS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": None}, "num_heads must be given; received num_heads=None. Pass a divisor"),
        ({"intermediate_dim": None}, "intermediate_dim must be given; received intermediate_dim=None"),
        (
            {"attention": MultiHeadAttention(2, 3)},
            "num_heads is not used when attention is given; received num_heads=2",
        ),
        ({"attention": "linear"}, "attention must be a Keras layer; received attention='linear'"),
        (
            {"attention": MultiHeadAttention(2, 3), "num_heads": None, "qk_norm": "rms"},
            "qk_norm is not used when attention is given; received qk_norm='rms'. Leave qk_norm out",
        ),
        (
            {"attention": MultiHeadAttention(2, 3), "num_heads": None, "attention_dropout": 0.1},
            "attention_dropout is not used when attention is given; received attention_dropout=0.1",
        ),
        ({"feed_forward": "moe"}, "feed_forward must be one of 'geglu', 'mlp', 'reglu', 'swiglu'; received"),
        ({"feed_forward": 3}, "feed_forward must be a name or a Keras layer; received feed_forward=3"),
        ({"feed_forward": Widening()}, "intermediate_dim is not used by a given layer; received intermediate_dim=9"),
        (
            {"feed_forward": Widening(), "intermediate_dim": None},
            r"feed_forward must keep the shape of its input; .* shape \(2, 4, 12\) for inputs \(2, 4, 6\)",
        ),
        (
            {"feed_forward": "swiglu", "activation": "relu"},
            'activation is used by feed_forward="mlp" only; received activation=an object of type builtins.function',
        ),
        ({"parallel": True, "norm_placement": "post"}, "parallel needs a normalization before the branches; received"),
        ({"norm_placement": "deepnorm"}, 'num_layers goes with norm_placement="deepnorm" and with no other; received'),
        ({"num_layers": 3}, 'num_layers goes with norm_placement="deepnorm" and with no other; received num_layers=3'),
        ({"norm_placement": "deepnorm", "num_layers": 0}, "num_layers must be an integer >= 1"),
        ({"stochastic_depth": 1.0}, r"stochastic_depth must be a number in \[0, 1\)"),
        ({"layer_scale": "small"}, "layer_scale must be a number"),
    ],
)
def test_bad_arguments_say_what_to_do(x, block_class, arguments, message):
    with pytest.raises(ValueError, match=message):
        block_class(**{"num_heads": 2, "intermediate_dim": 9, **arguments})(x)


def test_heads_may_have_any_size():
    block = TransformerEncoderBlock(3, 8, key_dim=5)
    assert tuple(block(np.ones((2, 4, 16), "float32")).shape) == (2, 4, 16)
    assert block.attention.key_dim == 5
    assert TransformerEncoderBlock.from_config(block.get_config()).key_dim == 5
    with pytest.raises(ValueError, match="num_heads must divide the features; .* or give key_dim"):
        TransformerEncoderBlock(3, 8)(np.ones((2, 4, 16), "float32"))
    with pytest.raises(ValueError, match="key_dim is not used when attention is given"):
        TransformerEncoderBlock(None, 8, key_dim=5, attention=keras.layers.MultiHeadAttention(2, 4))
