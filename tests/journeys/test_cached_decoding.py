"""Decoding with a cache gives what one call on the whole sequence gives, for every encoding and every kind of cache."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch import layers

pytestmark = [
    pytest.mark.backend,
    *([pytest.mark.slow] if keras.backend.backend() == "jax" else []),  # it compiles each operation on its own
]

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
DYNAMIC = {"type": "dynamic", "factor": 2.0, "original_length": 4}
YARN = {"type": "yarn", "factor": 4.0, "original_length": 4}
ATTENTIONS = {
    "plain": dict,
    "rotary": lambda: {"rotary_embedding": layers.RotaryEmbedding()},
    "interleaved": lambda: {"rotary_embedding": layers.RotaryEmbedding(rotary_dim=2, interleaved=True)},
    "yarn": lambda: {"rotary_embedding": layers.RotaryEmbedding(scaling=YARN)},
    "axial": lambda: {"rotary_embedding": layers.AxialRotaryEmbedding2D((3, 4))},
    "alibi": lambda: {"position_bias": layers.ALiBiBias(4)},
    "buckets": lambda: {
        "position_bias": layers.RelativePositionBias(4, num_buckets=8, max_distance=6, bidirectional=False)
    },
    "swin": lambda: {"position_bias": layers.RelativePositionBias2D(4, window_size=(3, 4))},
    "window": lambda: {"sliding_window": 4, "rotary_embedding": layers.RotaryEmbedding()},
    "all at once": lambda: {
        "rotary_embedding": layers.RotaryEmbedding(),
        "position_bias": layers.ALiBiBias(4),
        "num_kv_heads": 2,
        "qk_norm": "rms",
        "logit_soft_cap": 5.0,
        "sinks": True,
        "use_gate": True,
        "value_dim": 3,
    },
}
CACHES = {"growing": {}, "static": {"max_length": 14}, "sliding": {"window": 12}}
CHUNKS = ((0, 5), (5, 6), (6, 7), (7, 11), (11, 12))
EACH = [(name, kind) for name in ATTENTIONS for kind in CACHES]
FEW = [("all at once", "growing"), ("window", "static"), ("yarn", "sliding")]  # JAX compiles each operation on its own


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def made(name, rng, **more):
    """A built layer with random weights, and inputs (2, 12, 16)."""
    layer = layers.MultiHeadAttention(4, 4, **ATTENTIONS[name](), **more)
    layer.build((2, 12, 16), (2, 12, 16))
    layer.set_weights([0.4 * rng.standard_normal(w.shape) for w in layer.get_weights()])
    return layer, rng.standard_normal((2, 12, 16)).astype("float32")


def decoded(layer, x, cache, chunks=CHUNKS, **call):
    """Outputs of all chunks together, and the last cache."""
    outputs = []
    for start, stop in chunks:
        part = x[:, start:stop]
        masks = {name: mask[:, start:stop] for name, mask in call.items()}
        output, cache = layer(part, part, use_causal_mask=True, cache=cache, **masks)
        outputs.append(values(output))
    return np.concatenate(outputs, axis=1), cache


@pytest.mark.parametrize(("name", "kind"), EACH if ON_TENSORFLOW else FEW)
def test_steps_equal_the_whole(name, kind, rng):
    layer, x = made(name, rng)
    whole = values(layer(x, x, use_causal_mask=True))
    size = {"window": 3} if (name, kind) == ("window", "sliding") else CACHES[kind]  # what the window needs is enough
    got, cache = decoded(layer, x, layer.make_cache(2, **size))
    np.testing.assert_allclose(got, whole, atol=1e-5)
    assert int(values(cache.length)) == 12


@pytest.mark.parametrize("kind", CACHES if ON_TENSORFLOW else ["static"])
def test_a_longer_sequence_turns_all_keys_again_under_dynamic_scaling(kind, rng):
    """The newest step of each call equals that of a call on all steps up to it; earlier steps had other angles."""
    layer = layers.MultiHeadAttention(4, 4, rotary_embedding=layers.RotaryEmbedding(scaling=DYNAMIC))
    x = rng.standard_normal((2, 12, 16)).astype("float32")
    cache = layer.make_cache(2, **CACHES[kind])
    for start, stop in CHUNKS:
        part = x[:, start:stop]
        output, cache = layer(part, part, use_causal_mask=True, cache=cache)
        whole = layer(x[:, :stop], x[:, :stop], use_causal_mask=True)
        np.testing.assert_allclose(values(output)[:, -1], values(whole)[:, -1], atol=1e-5)


@pytest.mark.parametrize("kind", CACHES if ON_TENSORFLOW else ["growing"])
def test_padding_stays_hidden_in_the_cache(kind, rng):
    """Two prompts of different length, padded in front, with positions that count real steps only."""
    layer, x = made("rotary", rng)
    mask = np.ones((2, 12), "bool")
    mask[1, :3] = False
    places = np.maximum(np.cumsum(mask, axis=1) - 1, 0).astype("int32")
    call = {"query_mask": mask, "value_mask": mask, "query_positions": places, "key_positions": places}
    got, _ = decoded(layer, x, layer.make_cache(2, **CACHES[kind]), **call)
    alone = values(layer(x[1:, 3:], x[1:, 3:], use_causal_mask=True))
    np.testing.assert_allclose(got[1:, 3:], alone, atol=1e-5)
    np.testing.assert_allclose(got[:1], values(layer(x[:1], x[:1], use_causal_mask=True)), atol=1e-5)


@pytest.mark.parametrize("name", ["plain", "rotary", "all at once"])
def test_a_memory_is_projected_once(name, rng):
    layer, memory = made(name, rng)
    query = rng.standard_normal((2, 3, 16)).astype("float32")
    mask = np.ones((2, 12), "bool")
    mask[0, 7:] = False
    cache = layer.cache_memory(memory, value_mask=mask)
    output, after = layer(query, cache=cache)
    np.testing.assert_allclose(values(output), values(layer(query, memory, value_mask=mask)), atol=1e-5)
    for kept, given in zip(after, cache, strict=True):
        np.testing.assert_array_equal(values(kept), values(given))


def test_scores_cover_the_slots(rng):
    layer, x = made("rotary", rng)
    _, scores, _ = layer(
        x[:, :3], x[:, :3], use_causal_mask=True, return_attention_scores=True, cache=layer.make_cache(2, max_length=5)
    )
    assert tuple(scores.shape) == (2, 4, 3, 5)
    assert not values(scores)[..., 3:].any()
    np.testing.assert_allclose(values(scores).sum(-1), 1, atol=1e-5)


def test_keys_may_be_kept_in_low_precision(rng):
    layer, x = made("plain", rng)
    whole = values(layer(x, x, use_causal_mask=True))
    cache = layer.make_cache(2, max_length=12, dtype="bfloat16")
    got, cache = decoded(layer, x, cache)
    np.testing.assert_allclose(got, whole, atol=0.05 * np.abs(whole).max())
    assert keras.backend.standardize_dtype(cache.key.dtype) == "bfloat16"


def test_bad_caches_are_refused(rng):
    layer, x = made("plain", rng)
    part = x[:, :3]
    _, cache = layer(part, part, cache=layer.make_cache(2, max_length=4))
    with pytest.raises(ValueError, match="cache must have room for the new steps"):
        layer(part, part, cache=cache)
    with pytest.raises(ValueError, match="cache must be a KVCache"):
        layer(part, part, cache=(1, 2))
    with pytest.raises(ValueError, match="attention_mask has no meaning for a sliding cache"):
        layer(part, part, attention_mask=np.ones((3, 3), "bool"), cache=layer.make_cache(2, window=4))
    with pytest.raises(ValueError, match="value must be given without a cache"):
        layer(part)
    with pytest.raises(ValueError, match="value can be projected by a built layer only"):
        layers.MultiHeadAttention(2, 4).cache_memory(x)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="one backend's compiler is enough here")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_one_compiled_step_serves_all_steps_and_overflow_shows(jit_compile, rng):
    import tensorflow as tf

    layer, x = made("all at once", rng)
    whole, traces = values(layer(x, x, use_causal_mask=True)), []

    @tf.function(jit_compile=jit_compile)
    def step(part, cache):
        traces.append(1)
        return layer(part, part, use_causal_mask=True, cache=cache)

    cache, outputs = layer.make_cache(2, max_length=11), []
    for i in range(12):
        output, cache = step(x[:, i : i + 1], cache)
        outputs.append(values(output))
    np.testing.assert_allclose(np.concatenate(outputs[:11], axis=1), whole[:, :11], atol=1e-5)
    assert np.isnan(outputs[11]).all()  # compiled code can't raise, so it must not look right
    assert len(traces) == 1
