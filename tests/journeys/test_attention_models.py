"""Models with attention as their users train, save, quantize, compile and decode with them."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_arch as ka

BACKEND = keras.backend.backend()
WORDS = 20

pytestmark = [
    pytest.mark.backend,
    *([pytest.mark.slow] if keras.backend.backend() == "jax" else []),  # it compiles each operation on its own
]
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="tiles, compilation and export of TensorFlow")

FRESH = """
import sys
import keras, numpy as np
import keras_arch
model = keras.saving.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def language_model(length=None, dtype=None, **arguments):
    """Logits (B, T, 20) of the next token; token 0 is padding."""
    tokens = keras.Input((length,), dtype="int32")
    x = layers.Embedding(WORDS, 16, mask_zero=True, dtype=dtype)(tokens)
    arguments = {"num_heads": 4, "key_dim": 4, "name": "attention", "dtype": dtype, **arguments}
    x = layers.Add(dtype=dtype)([x, ka.layers.MultiHeadAttention(**arguments)(x, x, use_causal_mask=True)])
    model = keras.Model(tokens, layers.Dense(WORDS, dtype=dtype)(x))
    random = np.random.default_rng(5)  # as large as trained weights
    model.set_weights([random.standard_normal(w.shape).astype("float32") * 0.5 for w in model.get_weights()])
    return model


def sentences(rng, samples=2, length=24):
    """Tokens (B, T), those of the last sample padded from the middle on."""
    tokens = rng.integers(1, WORDS, (samples, length)).astype("int32")
    tokens[-1, length // 2 :] = 0
    return tokens


def train(model, tokens, steps=2, jit_compile=False):
    """Losses of SGD steps at predicting the next token."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=jit_compile if BACKEND != "jax" else True)
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    history = model.fit(inputs, targets, batch_size=len(tokens), epochs=steps, shuffle=False, verbose=0)
    return history.history["loss"]


@pytest.fixture
def _small_tiles(monkeypatch):
    """Tiles of a few steps, so that a short sequence needs several."""
    from keras_arch.ops.backend.generic import blockwise_attention as generic

    if BACKEND != "tensorflow":
        defaults = {**generic.blockwise_attention.__kwdefaults__, "rows": 8}
        monkeypatch.setattr(generic.blockwise_attention, "__kwdefaults__", defaults)
        return
    from keras_arch.ops.backend.tensorflow import blockwise_attention, streamed_attention

    monkeypatch.setattr(blockwise_attention, "FEWEST_ROWS", 8)
    monkeypatch.setattr(blockwise_attention, "MOST_ROWS", 8)
    monkeypatch.setattr(streamed_attention, "ROWS", 8)
    monkeypatch.setattr(streamed_attention, "COLUMNS", 5)


def extras(name):
    return {
        "plain": {},
        "recent": {
            "rotary_embedding": ka.layers.RotaryEmbedding(),
            "num_kv_heads": 2,
            "sinks": True,
            "qk_norm": "rms",
            "logit_soft_cap": 1.0,
        },
        "ALiBi": {"position_bias": ka.layers.ALiBiBias(4), "num_kv_heads": 1, "sliding_window": 11},
        "T5": {"position_bias": ka.layers.RelativePositionBias(4, num_buckets=6, max_distance=12, bidirectional=False)},
    }[name]


@pytest.mark.usefixtures("_small_tiles")
@pytest.mark.parametrize("kind", ["plain", "recent", "ALiBi", "T5"])
def test_tiles_train_like_all_scores_at_once(kind, rng):
    tokens = sentences(rng)
    dense, tiles = (language_model(23, implementation=name, **extras(kind)) for name in ("dense", "blockwise"))
    initial = dense.get_weights()
    losses = train(dense, tokens)
    np.testing.assert_allclose(train(tiles, tokens), losses, rtol=1e-5)
    assert losses[1] < losses[0]
    for weight, expected, before in zip(tiles.weights, dense.get_weights(), initial, strict=True):
        np.testing.assert_allclose(values(weight), expected, atol=1e-5)
        # A number added to all scores of a query, as the bias of the keys does unless they turn, changes nothing.
        assert weight.path.endswith("key/bias") or np.abs(expected - before).max() > 1e-5


@on_tensorflow
@pytest.mark.usefixtures("_small_tiles")
@pytest.mark.parametrize(("kind", "jit_compile"), [("ALiBi", True), ("recent", False), ("T5", False)])
def test_tiles_of_unknown_lengths_train_compiled_and_not(kind, jit_compile, rng):
    dense, tiles = (language_model(implementation=name, **extras(kind)) for name in ("dense", "blockwise"))
    tokens = sentences(rng)
    np.testing.assert_allclose(train(tiles, tokens, jit_compile=jit_compile), train(dense, tokens), rtol=1e-5)
    for got, expected in zip(tiles.get_weights(), dense.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, atol=2e-5)
    if not jit_compile:  # XLA would compile a graph for each length
        tokens = sentences(rng, length=31)
        np.testing.assert_allclose(tiles.predict(tokens, verbose=0), dense.predict(tokens, verbose=0), atol=5e-5)


def test_a_saved_model_is_the_same_in_a_fresh_process(tmp_path, rng):
    arguments = {
        "rotary_embedding": ka.layers.RotaryEmbedding(max_wavelength=500.0, scaling={"type": "linear", "factor": 2.0}),
        "position_bias": ka.layers.RelativePositionBias(4, num_buckets=6, max_distance=12, bidirectional=False),
        "num_kv_heads": 2,
        "sinks": True,
        "qk_norm": "layer",
        "logit_soft_cap": 10.0,
        "use_gate": True,
    }
    model, tokens = language_model(**arguments), sentences(rng, length=9)
    train(model, tokens)
    paths = [str(tmp_path / name) for name in ("model.keras", "tokens.npy", "logits.npy")]
    model.save(paths[0])
    np.save(paths[1], tokens)
    subprocess.run([sys.executable, "-c", FRESH, *paths], check=True)
    np.testing.assert_allclose(np.load(paths[2]), model.predict(tokens, verbose=0), atol=1e-6)


@pytest.mark.usefixtures("_small_tiles")
@pytest.mark.parametrize("implementation", ["dense", "blockwise", "banded"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_padded_sample_leaves_low_precision_fits_finite(policy, implementation, rng):
    window = {"sliding_window": 4} if implementation == "banded" else {}
    model = language_model(12, policy, implementation=implementation, sinks=implementation == "blockwise", **window)
    tokens = sentences(rng, length=13)
    tokens[0] = 0
    before = model.get_weights()
    losses = train(model, tokens)
    assert np.isfinite(losses).all()
    for weight, old in zip(model.get_weights(), before, strict=True):
        assert np.isfinite(weight).all()
        assert np.abs(weight - old).max() > 0


def test_int8_and_low_rank_adapters_of_grouped_attention(tmp_path, rng):
    tokens = sentences(rng)
    model = language_model(rotary_embedding=ka.layers.RotaryEmbedding(), num_kv_heads=2, use_gate=True)
    train(model, tokens)
    logits = model.predict(tokens, verbose=0)
    attention = model.get_layer("attention")
    projections = [attention.query_dense, attention.key_dense, attention.value_dense, attention.output_dense]
    for projection in projections:
        projection.enable_lora(2)
    np.testing.assert_allclose(values(model(tokens)), logits, atol=1e-5)
    frozen = [values(projection.kernel) for projection in projections]
    assert len(attention.trainable_weights) == 8 + 5 + 1  # A and B of four, five biases, the gate's kernel
    losses = train(model, tokens, steps=3)
    assert losses[-1] < losses[0]
    adapted = model.predict(tokens, verbose=0)
    assert np.abs(adapted - logits).max() > 1e-3
    assert all(np.abs(values(p.kernel) - kernel).max() > 1e-5 for p, kernel in zip(projections, frozen, strict=True))

    model.save_weights(tmp_path / "adapted.weights.h5")  # merged
    model = language_model(rotary_embedding=ka.layers.RotaryEmbedding(), num_kv_heads=2, use_gate=True)
    model.load_weights(tmp_path / "adapted.weights.h5")
    np.testing.assert_allclose(values(model(tokens)), adapted, atol=1e-5)

    model.quantize("int8", filters=lambda layer: isinstance(layer, layers.EinsumDense))
    attention = model.get_layer("attention")
    projections = [attention.query_dense, attention.key_dense, attention.value_dense, attention.output_dense]
    assert {keras.backend.standardize_dtype(p.kernel.dtype) for p in projections} == {"int8"}
    assert np.abs(model.predict(tokens, verbose=0) - adapted).max() < 0.1 * np.abs(adapted).max()


class Decoder(keras.Model):
    """One attention layer between an embedding and logits, with a cache."""

    def __init__(self, **arguments):
        super().__init__()
        self.embed, self.logits = layers.Embedding(WORDS, 16), layers.Dense(WORDS)
        self.attend = ka.layers.MultiHeadAttention(4, 4, **arguments)

    def call(self, tokens, cache=None):
        x = self.embed(tokens)
        if cache is None:
            return self.logits(x + self.attend(x, x, use_causal_mask=True))
        attended, cache = self.attend(x, x, use_causal_mask=True, cache=cache)
        return self.logits(x + attended), cache


def compiled(function):
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    return function


def decoder(rng, **arguments):
    model = Decoder(rotary_embedding=ka.layers.RotaryEmbedding(), num_kv_heads=2, **arguments)
    model(np.ones((2, 3), "int32"))
    model.set_weights([rng.standard_normal(w.shape) * 0.7 for w in model.get_weights()])
    return model


def newest(logits):
    return ops.cast(ops.argmax(logits[:, -1:], axis=-1), "int32")


def greedy(model, tokens, steps):
    """Decode by calling the model on all there is, again and again."""
    call = compiled(lambda tokens: model(tokens)) if BACKEND == "jax" else model  # eager JAX takes seconds a call
    for _ in range(steps):
        tokens = np.concatenate([tokens, ops.convert_to_numpy(newest(call(tokens)))], axis=1)
    return tokens


def test_a_compiled_step_with_a_static_cache_decodes_what_whole_calls_do(rng):
    model, prompt, steps = decoder(rng), rng.integers(1, WORDS, (2, 5)).astype("int32"), 7
    expected = greedy(model, prompt, steps)
    traces = []

    def step(tokens, cache):
        traces.append(tokens.shape)
        logits, cache = model(tokens, cache)
        return newest(logits), cache

    fast = compiled(step)
    token, cache = fast(ops.convert_to_tensor(prompt), model.attend.make_cache(2, max_length=5 + steps))
    decoded = [token]
    for _ in range(steps - 1):
        token, cache = fast(token, cache)
        decoded.append(token)
    got = np.concatenate([prompt, *(ops.convert_to_numpy(token) for token in decoded)], axis=1)
    np.testing.assert_array_equal(got, expected)
    if BACKEND != "torch":
        assert [tuple(shape) for shape in traces] == [(2, 5), (2, 1)]


@pytest.mark.parametrize("kind", ["static", "sliding"])
def test_a_decoding_loop_in_one_graph_equals_whole_calls(kind, rng):
    model = decoder(rng, **({"sliding_window": 4} if kind == "sliding" else {}))
    prompt, steps = rng.integers(1, WORDS, (2, 5)).astype("int32"), 7
    expected = greedy(model, prompt, steps)
    size = {"max_length": 4 + steps} if kind == "static" else {"window": 3}  # the last token is not attended to

    def decode(prompt):
        logits, cache = model(prompt, model.attend.make_cache(2, **size))
        first = newest(logits)
        decoded = ops.concatenate([first, ops.zeros((2, steps - 1), "int32")], axis=1)

        def body(i, token, decoded, cache):
            logits, cache = model(token, cache)
            token = newest(logits)
            return i + 1, token, ops.slice_update(decoded, (0, i), token), cache

        start = (ops.ones((), "int32"), first, decoded, cache)
        return ops.while_loop(lambda i, *_: i < steps, body, start, maximum_iterations=steps - 1)[2]

    got = ops.convert_to_numpy(compiled(decode)(ops.convert_to_tensor(prompt)))
    np.testing.assert_array_equal(got, expected[:, 5:])


def test_an_overflowing_static_cache_raises_or_gives_nan(rng):
    model, prompt = decoder(rng), np.ones((2, 3), "int32")
    with pytest.raises(ValueError, match=r"max_length=4 that holds 3 steps, and 3 more"):
        model(prompt, model(prompt, model.attend.make_cache(2, max_length=4))[1])
    if BACKEND == "torch":
        return
    step = compiled(lambda tokens, cache: model(tokens, cache))
    one = ops.convert_to_tensor(prompt[:, :1])
    logits, cache = step(ops.convert_to_tensor(prompt), model.attend.make_cache(2, max_length=4))
    logits, cache = step(one, cache)
    assert np.isfinite(values(logits)).all()
    logits, cache = step(one, cache)
    assert np.isnan(values(logits)).all()
    assert np.isnan(values(step(one, cache)[0])).all()


@on_tensorflow
@pytest.mark.parametrize("kind", ["plain", "recent", "ALiBi", "T5"])
def test_attention_exports_to_litert(kind, tmp_path, rng):
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra keras-arch[test]")
    inputs = keras.Input((6, 8), batch_size=1)
    attention = ka.layers.MultiHeadAttention(4, 4, **extras(kind))
    model = keras.Model(inputs, attention(inputs, inputs, use_causal_mask=True))
    model.export(tmp_path / "attention.tflite", format="litert", verbose=False)
    interpreter = litert.Interpreter(str(tmp_path / "attention.tflite"))
    interpreter.allocate_tensors()
    x = rng.standard_normal((1, 6, 8)).astype("float32")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(got, values(model(x)), atol=1e-5)


@pytest.mark.parametrize("implementation", ["dense", "blockwise", "banded"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_attention_of_another_precision_than_its_rotary_embedding(policy, implementation, rng):
    x = rng.standard_normal((2, 12, 8))
    window = {"sliding_window": 4} if implementation == "banded" else {}
    options = {"num_kv_heads": 2, "sinks": True, "implementation": implementation, **window}
    layer = ka.layers.MultiHeadAttention(4, 4, dtype=policy, rotary_embedding=ka.layers.RotaryEmbedding(), **options)
    plain = ka.layers.MultiHeadAttention(4, 4, rotary_embedding=ka.layers.RotaryEmbedding(), **options)
    layer.build(x.shape, x.shape)
    plain.build(x.shape, x.shape)
    plain.set_weights(layer.get_weights())
    got, expected = layer(x, x, use_causal_mask=True), plain(x, x, use_causal_mask=True)
    assert keras.backend.standardize_dtype(got.dtype) == layer.compute_dtype
    np.testing.assert_allclose(values(got), values(expected), atol=0.05 if policy != "float64" else 1e-5)


@pytest.mark.parametrize("implementation", ["dense", "blockwise", "banded"])
@pytest.mark.parametrize("kind", ["growing", "static", "sliding"])
def test_every_implementation_decodes_in_a_window(kind, implementation, rng):
    x = rng.standard_normal((2, 7, 8)).astype("float32")
    layer = ka.layers.MultiHeadAttention(2, 4, sliding_window=3, implementation=implementation)
    expected = values(layer(x, x, use_causal_mask=True))
    cache = layer.make_cache(2, **{"growing": {}, "static": {"max_length": 7}, "sliding": {"window": 2}}[kind])
    outputs = []
    for start, stop in ((0, 4), (4, 5), (5, 7)):
        step = x[:, start:stop]
        output, cache = layer(step, step, use_causal_mask=True, cache=cache)
        outputs.append(values(output))
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), expected, atol=2e-6)
