import keras
import numpy as np
import pytest
from keras import ops
from oracles.attention import encoder_block_loop, multi_head_attention_loop

from keras_arch.layers import TransformerEncoderBlock

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def randomized(block, shape, rng):
    block.build(shape)
    block.set_weights([rng.standard_normal(w.shape).astype("float32") * 0.4 for w in block.weights])
    return block


def oracle(block, x, mask=None, bias=None):
    norms = [[values(n.gamma), values(n.beta)] for n in (block.attention_norm, block.feed_forward_norm)]
    dense = [[values(d.kernel), values(d.bias)] for d in (block.intermediate_dense, block.output_dense)]

    def attend(h):
        return multi_head_attention_loop(h, h, block.attention.get_weights(), mask, bias)[0]

    return encoder_block_loop(x.astype("float64"), attend, norms, dense, block.norm_placement, block.epsilon)


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 4, 6)).astype("float32")


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_output_equals_the_loop(x, rng, placement):
    block = randomized(TransformerEncoderBlock(2, 9, activation="relu", norm_placement=placement), x.shape, rng)
    np.testing.assert_allclose(values(block(x)), oracle(block, x), atol=1e-5)
    mask, bias = rng.random((2, 4)) < 0.6, rng.standard_normal((1, 2, 4, 4)).astype("float32")
    mask[:, 0] = True
    got, scores = block(x, mask=mask, attention_bias=bias, use_causal_mask=True, return_attention_scores=True)
    seen = mask[:, None, None, :] & mask[:, None, :, None] & np.tri(4, dtype="bool")
    np.testing.assert_allclose(values(got), oracle(block, x, seen, bias), atol=1e-5)
    assert tuple(scores.shape) == (2, 2, 4, 4)
    assert not values(scores)[~np.broadcast_to(seen, scores.shape)].any()


def test_rms_normalization_is_used_in_place_of_layer_normalization(x):
    silent = {"kernel_initializer": "zeros", "norm_placement": "post"}  # both branches give zeros: norm(norm(x))
    got = values(TransformerEncoderBlock(2, 9, normalization="rms", **silent)(x))
    np.testing.assert_allclose(got, x / np.sqrt((x**2).mean(-1, keepdims=True)), atol=1e-4)


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("normalization", ["layer", "rms"])
def test_a_travelling_mask_acts_like_the_given_one_and_travels_on(x, rng, placement, normalization):
    seen = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], "bool")
    block = TransformerEncoderBlock(2, 9, norm_placement=placement, normalization=normalization)
    randomized(block, x.shape, rng)
    masked = keras.layers.Masking()(x * seen[..., None])
    pool = keras.layers.GlobalAveragePooling1D()
    for extra in ({}, {"attention_mask": np.tri(4, dtype="bool")}):
        expected = block(x * seen[..., None], mask=seen, **extra)
        got = block(masked, **extra)
        np.testing.assert_allclose(values(got), values(expected), atol=1e-6)
        average = (values(expected) * seen[..., None]).sum(1) / seen.sum(1, keepdims=True)
        np.testing.assert_allclose(values(pool(got)), average, atol=1e-6)
        np.testing.assert_allclose(values(pool(expected)), average, atol=1e-6)


def test_padding_changes_nothing_in_the_real_steps(x, rng):
    block = randomized(TransformerEncoderBlock(3, 9), x.shape, rng)
    padded = np.concatenate([x, 100 * rng.standard_normal((2, 2, 6)).astype("float32")], axis=1)
    got = block(padded, mask=np.arange(6)[None].repeat(2, 0) < 4)
    np.testing.assert_allclose(values(got)[:, :4], values(block(x)), atol=2e-6)


def test_dropout_acts_on_both_branches_and_on_attention(x):
    silent = {"kernel_initializer": "zeros", "bias_initializer": "ones"}  # each branch gives ones: x + 1 + 1
    steady = values(TransformerEncoderBlock(2, 9, dropout=0.5, **silent)(x))
    np.testing.assert_allclose(steady, x + 2, atol=1e-6)
    free = values(TransformerEncoderBlock(2, 9, dropout=0.5, seed=3, **silent)(x, training=True)) - x
    assert set(np.unique(free.round(4))) == {0.0, 2.0, 4.0}  # neither, one (scaled by 2) or both branches kept
    block = TransformerEncoderBlock(2, 9, attention_dropout=0.5, seed=3)
    assert np.abs(values(block(x, training=True)) - values(block(x))).max() > 1e-3


def test_sequential_and_functional_models_with_unknown_length(x):
    blocks = [TransformerEncoderBlock(2, 9, norm_placement=placement) for placement in ("pre", "post")]
    model = keras.Sequential([keras.Input((None, 6)), *blocks])
    assert model.output_shape == (None, None, 6)
    assert model.predict(x[:, :3], verbose=0).shape == (2, 3, 6)
    inputs, block = keras.Input((None, 6)), TransformerEncoderBlock(2, 9)
    output, scores = block(inputs, return_attention_scores=True)
    assert output.shape == (None, None, 6)
    assert scores.shape == (None, 2, None, None)
    got = keras.Model(inputs, [output, scores]).predict(x, verbose=0)
    np.testing.assert_allclose(got[0], values(block(x)), atol=1e-6)
    assert got[1].shape == (2, 2, 4, 4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_near_float32(x, rng, policy):
    exact = randomized(TransformerEncoderBlock(2, 9), x.shape, rng)
    mixed = TransformerEncoderBlock(2, 9, dtype=policy)
    mixed.build(x.shape)
    mixed.set_weights(exact.get_weights())
    got = mixed(x)
    assert keras.backend.standardize_dtype(got.dtype) == policy.removeprefix("mixed_")
    tolerance = 0.08 if "bfloat16" in policy else 0.01
    np.testing.assert_allclose(values(got), values(exact(x)), atol=tolerance)


def test_saved_model_gives_the_same_bits(tmp_path, x):
    inputs = keras.Input((4, 6))
    block = TransformerEncoderBlock(
        2, 9, 0.1, 0.2, "relu", "post", "rms", 1e-4, use_bias=False, kernel_initializer="he_normal", seed=5
    )
    model = keras.Model(inputs, block(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == block.get_config()
    np.testing.assert_array_equal(values(loaded(x)), values(model(x)))


def test_kernels_of_one_shape_start_different():
    block = TransformerEncoderBlock(2, 6)
    block.build((None, 4, 6))
    assert np.abs(values(block.intermediate_dense.kernel) - values(block.output_dense.kernel)).max() > 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 4}, r"num_heads must divide the features; received num_heads=4\. The inputs have 6 features"),
        (
            {"norm_placement": "middle"},
            r"norm_placement must be one of 'deepnorm', 'post', 'pre', 'sandwich'; received",
        ),
        ({"normalization": "batch"}, r"normalization must be one of 'layer', 'rms'; received"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\)"),
        ({"intermediate_dim": 0}, "intermediate_dim must be an integer >= 1"),
    ],
)
def test_bad_arguments_say_what_to_do(x, arguments, message):
    with pytest.raises(ValueError, match=message):
        TransformerEncoderBlock(**{"num_heads": 2, "intermediate_dim": 9, **arguments})(x)
    with pytest.raises(ValueError, match="inputs must have three axes"):
        TransformerEncoderBlock(2, 9)(x[0])


@pytest.mark.oracle
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one backend is enough to compare with torch")
@pytest.mark.parametrize("placement", ["pre", "post"])
def test_equals_torch_with_copied_weights(x, rng, placement):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    peer = torch.nn.TransformerEncoderLayer(
        6, 2, 9, dropout=0.0, activation="gelu", batch_first=True, norm_first=placement == "pre", layer_norm_eps=1e-5
    )
    block = randomized(
        TransformerEncoderBlock(
            2, 9, norm_placement=placement, activation=lambda h: keras.activations.gelu(h, approximate=False)
        ),
        x.shape,
        rng,
    )
    weights = [torch.tensor(w) for w in block.attention.get_weights()]
    with torch.no_grad():
        peer.self_attn.in_proj_weight.copy_(torch.cat([w.reshape(6, 6).T for w in weights[0:6:2]]))
        peer.self_attn.in_proj_bias.copy_(torch.cat([b.reshape(6) for b in weights[1:6:2]]))
        peer.self_attn.out_proj.weight.copy_(weights[6].reshape(6, 6).T)
        peer.self_attn.out_proj.bias.copy_(weights[7])
        for ours, theirs in (
            (block.attention_norm, peer.norm1),
            (block.feed_forward_norm, peer.norm2),
            (block.intermediate_dense, peer.linear1),
            (block.output_dense, peer.linear2),
        ):
            scale, offset = (torch.tensor(w) for w in ours.get_weights())
            theirs.weight.copy_(scale.T if scale.ndim == 2 else scale)
            theirs.bias.copy_(offset)
        seen = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], "bool")
        expected = peer(torch.tensor(x), src_key_padding_mask=torch.tensor(~seen)).numpy()
    np.testing.assert_allclose(values(block(x, mask=seen))[seen], expected[seen], atol=1e-5)
