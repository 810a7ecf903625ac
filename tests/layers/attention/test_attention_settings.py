import inspect

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.layers import ALiBiBias, MultiHeadAttention, RelativePositionBias, RotaryEmbedding
from keras_arch.layers.attention.attention_settings import AttentionSettings

pytestmark = pytest.mark.backend


def full():
    return MultiHeadAttention(
        4,
        6,
        num_kv_heads=2,
        rotary_embedding=RotaryEmbedding(max_wavelength=50.0, rotary_dim=4),
        position_bias=RelativePositionBias(4, num_buckets=8, max_distance=20),
        qk_norm="layer",
        logit_soft_cap=3.0,
        sinks=True,
        sliding_window=5,
        implementation="banded",
        seed=2,
    )


def test_config_keeps_every_argument_and_revives_the_encodings():
    config = MultiHeadAttention.from_config(full().get_config()).get_config()
    assert config == full().get_config() | {"name": config["name"]} | {
        name: config[name] for name in ("rotary_embedding", "position_bias")
    }
    assert config["rotary_embedding"]["config"]["max_wavelength"] == 50.0
    assert config["position_bias"]["config"]["num_buckets"] == 8
    expected = set(inspect.signature(AttentionSettings.__init__).parameters) - {"self", "kwargs"}
    assert expected <= set(config) | {"activity_regularizer"}


def test_weights_are_keras_ones_and_then_the_extras():
    layer = full()
    layer.build((2, 7, 8), (2, 7, 8))
    names = [weight.path.split("/", 1)[1] for weight in layer.weights]
    extras = {
        "sinks",
        "query_norm/gamma",
        "query_norm/beta",
        "key_norm/gamma",
        "key_norm/beta",
        "relative_position_bias/embeddings",
    }
    projections = ("query", "key", "value", "attention_output")
    assert [name for name in names if name not in extras] == [
        f"{p}/{w}" for p in projections for w in ("kernel", "bias")
    ]
    assert extras < set(names)


def test_a_bias_with_weights_belongs_to_one_layer():
    shared = RelativePositionBias(2)
    first, second = (MultiHeadAttention(2, 4, position_bias=shared) for _ in range(2))
    first.build((1, 3, 8), (1, 3, 8))
    with pytest.raises(ValueError, match="position_bias must belong to one attention layer.*pass what it returns as"):
        second.build((1, 3, 8), (1, 3, 8))


def test_one_bias_for_two_layers_is_their_attention_bias(rng):
    x = rng.standard_normal((2, 5, 8)).astype("float32")
    inputs = keras.Input((5, 8))
    bias = RelativePositionBias(2, num_buckets=4)(inputs)
    y = MultiHeadAttention(2, 4)(inputs, inputs, attention_bias=bias)
    y = MultiHeadAttention(2, 4)(y, y, attention_bias=bias)
    model = keras.Model(inputs, y)
    assert sum("embeddings" in weight.path for weight in model.weights) == 1
    assert tuple(model(x).shape) == (2, 5, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_kv_heads": 3}, "num_kv_heads must divide num_heads; received num_kv_heads=3. There are 4 heads"),
        ({"num_kv_heads": 0}, "num_kv_heads must be an integer >= 1"),
        ({"sliding_window": 0}, "sliding_window must be an integer >= 1"),
        ({"qk_norm": "batch"}, "qk_norm must be one of 'layer', 'rms'"),
        ({"logit_soft_cap": 0.0}, r"logit_soft_cap must be a number in \(0, inf\)"),
        ({"implementation": "flash"}, "implementation must be one of 'auto', 'banded', 'blockwise', 'dense'"),
        ({"rotary_embedding": "rope"}, "rotary_embedding must be a Keras layer with the method `call`"),
        ({"position_bias": keras.layers.Identity()}, "position_bias must be a Keras layer with the method `between`"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(4, 6, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"position_bias": ALiBiBias(3)},
            "position_bias must have the heads of the attention; received position_bias=3",
        ),
        ({"rotary_embedding": RotaryEmbedding(rotary_dim=8)}, "rotary_dim must be <= the 6 features per head"),
        ({"key_dim": 5, "rotary_embedding": RotaryEmbedding()}, "features per head must be even"),
    ],
)
def test_encodings_that_do_not_fit_are_refused_when_built(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(**{"num_heads": 4, "key_dim": 6, **arguments}).build((1, 3, 8), (1, 3, 8))


@pytest.mark.parametrize(
    "arguments", [{"num_kv_heads": 1}, {"rotary_embedding": RotaryEmbedding()}, {"implementation": "blockwise"}]
)
def test_sequences_only(arguments):
    with pytest.raises(ValueError, match="needs inputs of three axes"):
        MultiHeadAttention(2, 4, **arguments).build((1, 3, 4, 8), (1, 3, 4, 8))


def test_caches_have_the_sizes_of_the_layer():
    layer = MultiHeadAttention(4, 6, value_dim=5, num_kv_heads=2, dtype="mixed_bfloat16")
    cache = layer.make_cache(3, max_length=7)
    assert (tuple(cache.key.shape), tuple(cache.value.shape)) == ((3, 7, 2, 6), (3, 7, 2, 5))
    assert keras.backend.standardize_dtype(cache.key.dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(layer.make_cache(3, dtype="float32").key.dtype) == "float32"
    with pytest.raises(ValueError, match="window excludes max_length"):
        layer.make_cache(3, max_length=7, window=2)


def test_values_are_needed_to_build():
    with pytest.raises(ValueError, match="value must be given"):
        MultiHeadAttention(2, 4)(np.ones((1, 3, 8), "float32"))
    assert np.isfinite(ops.convert_to_numpy(MultiHeadAttention(2, 4)(*[np.ones((1, 3, 8), "float32")] * 2))).all()
