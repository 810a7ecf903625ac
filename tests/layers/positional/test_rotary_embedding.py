import keras
import numpy as np
import pytest
from keras import ops
from oracles import rotary as oracle

from keras_arch.layers.positional.rotary_embedding import RotaryEmbedding

pytestmark = pytest.mark.backend

EPSILON = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
SMALLEST = {"float32": 2.0**-126, "float16": 2.0**-14, "bfloat16": 2.0**-126}
DYNAMIC = {"type": "dynamic", "factor": 2.0, "original_length": 4}
SCALINGS = {
    "linear": {"factor": 4.0},
    "ntk": {"factor": 4.0},
    "yarn": {"factor": 4.0, "original_length": 64},
    "llama3": {"factor": 8.0, "original_length": 512, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
}


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def in_units(got, wanted, dtype):
    """Errors in units in the last place of the dtype at the wanted value."""
    wanted = wanted.astype("float64")
    size = np.maximum(np.abs(wanted), SMALLEST[dtype])
    return np.abs(got - wanted) / (np.exp2(np.floor(np.log2(size))) * EPSILON[dtype])


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("first", [0, 999_980])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_output_is_the_truth_within_one_unit_in_the_last_place(rng, first, dtype, interleaved):
    x = ops.cast(rng.standard_normal((1, 20, 2, 32)), dtype)
    layer = RotaryEmbedding(interleaved=interleaved, dtype=dtype)
    got = layer(x, start_index=first)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    frequencies = [10000.0 ** (-np.longdouble(2 * i) / 32) for i in range(16)]
    wanted = oracle.rotary_loop(values(x)[0], range(first, first + 20), frequencies, interleaved)
    assert in_units(values(got)[0], wanted, dtype).max() <= 1.0


@pytest.mark.parametrize("first", [0, 999_980, 2**24 - 20])
def test_float32_is_within_an_epsilon_of_the_norm_of_the_pair(rng, first):
    x = rng.standard_normal((1, 20, 2, 32)).astype("float32")
    frequencies = [10000.0 ** (-np.longdouble(2 * i) / 32) for i in range(16)]
    wanted = oracle.rotary_loop(x[0], range(first, first + 20), frequencies).astype("float64")
    norms = np.hypot(x[0, ..., :16], x[0, ..., 16:])
    error = np.abs(values(RotaryEmbedding()(x, start_index=first))[0] - wanted)
    assert (error / np.tile(norms, 2)).max() <= 2.5 * EPSILON["float32"]  # 3e-7


@pytest.mark.parametrize("kind", SCALINGS)
def test_scaled_angles_equal_the_formulas(rng, kind):
    x = rng.standard_normal((1, 6, 2, 16)).astype("float32")
    scaling = {"type": kind, **SCALINGS[kind]}
    frequencies = getattr(oracle, kind)(16, 1000.0, **SCALINGS[kind])
    growth = 0.1 * np.log(4.0) + 1 if kind == "yarn" else 1.0
    wanted = oracle.rotary_loop(x[0], range(900, 906), frequencies, growth=growth)
    got = RotaryEmbedding(1000.0, scaling=scaling)(x, start_index=900)
    np.testing.assert_allclose(values(got)[0], wanted.astype("float64"), atol=1e-6)


@pytest.mark.parametrize("length", [3, 9])
def test_dynamic_scaling_follows_the_length_of_the_call(rng, length):
    x = rng.standard_normal((1, length, 2, 16)).astype("float32")
    wanted = oracle.rotary_loop(x[0], range(length), oracle.dynamic(16, 10000.0, 2.0, 4, length))
    layer = RotaryEmbedding(scaling=DYNAMIC)
    assert layer.depends_on_length
    np.testing.assert_allclose(values(layer(x))[0], wanted.astype("float64"), atol=1e-6)
    np.testing.assert_allclose(values(layer(x, positions=np.arange(length)))[0], wanted.astype("float64"), atol=3e-6)


@pytest.mark.parametrize("scaling", [None, DYNAMIC])
def test_steps_of_a_cached_decoding_equal_the_whole_pass(rng, scaling):
    layer, x = RotaryEmbedding(scaling=scaling), rng.standard_normal((2, 6, 1, 8)).astype("float32")
    whole = values(layer(x))
    for length in (6, ops.convert_to_tensor(6)):
        steps = [layer(x[:, t : t + 1], start_index=ops.convert_to_tensor(t), length=length) for t in range(6)]
        np.testing.assert_allclose(values(ops.concatenate(steps, axis=1)), whole, atol=3e-6)


def test_scores_depend_on_the_distance_only(rng):
    query, key = rng.standard_normal((2, 1, 5, 3, 16)).astype("float32")
    layer, scores = RotaryEmbedding(), []
    for first in (0, 17, 300_000):
        turned = values(layer(query, start_index=first)), values(layer(key, start_index=first))
        scores.append(np.einsum("btnh,bsnh->bnts", *turned))
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-5)
    np.testing.assert_allclose(scores[2], scores[0], atol=1e-5)
    assert np.abs(scores[0] - np.einsum("btnh,bsnh->bnts", query, key)).max() > 0.1


def test_norms_are_kept_and_position_zero_is_the_identity(rng):
    x = rng.standard_normal((1, 50, 2, 16)).astype("float32")
    got = values(RotaryEmbedding()(x))
    np.testing.assert_allclose(np.linalg.norm(got, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-6)
    np.testing.assert_array_equal(got[:, 0], x[:, 0])


def test_interleaved_is_half_split_of_permuted_features(rng):
    x, order = rng.standard_normal((2, 5, 3, 8)).astype("float32"), [0, 2, 4, 6, 1, 3, 5, 7]
    interleaved, halves = RotaryEmbedding(interleaved=True)(x), RotaryEmbedding()(x[..., order])
    np.testing.assert_allclose(values(interleaved)[..., order], values(halves), atol=3e-7)


@pytest.mark.parametrize("interleaved", [False, True])
def test_partial_rotation_leaves_the_rest_untouched(rng, interleaved):
    x = rng.standard_normal((2, 5, 3, 10)).astype("float32")
    got = values(RotaryEmbedding(rotary_dim=4, interleaved=interleaved)(x))
    np.testing.assert_array_equal(got[..., 4:], x[..., 4:])
    np.testing.assert_allclose(got[..., :4], values(RotaryEmbedding(interleaved=interleaved)(x[..., :4])), atol=5e-7)


def test_positions_of_left_padded_samples_and_inputs_without_heads(rng):
    layer, x = RotaryEmbedding(), rng.standard_normal((2, 4, 3, 8)).astype("float32")
    got = values(layer(x, positions=np.array([[0, 0, 0, 1], [0, 1, 2, 3]])))
    np.testing.assert_allclose(got[0, 2:], values(layer(x[:1, 2:]))[0], atol=5e-7)
    np.testing.assert_allclose(got[1], values(layer(x))[1], atol=5e-7)
    np.testing.assert_allclose(values(RotaryEmbedding()(x[:, :, 1])), values(layer(x))[:, :, 1], atol=5e-7)


def test_unknown_length_in_a_functional_model(rng):
    inputs = keras.Input((None, 8))
    model = keras.Model(inputs, RotaryEmbedding(scaling=DYNAMIC)(inputs))
    assert model.output_shape == (None, None, 8)
    x = rng.standard_normal((1, 9, 8)).astype("float32")
    wanted = oracle.rotary_loop(x[0, :, None], range(9), oracle.dynamic(8, 10000.0, 2.0, 4, 9))[:, 0]
    np.testing.assert_allclose(model.predict(x, verbose=0)[0], wanted.astype("float64"), atol=3e-6)


@pytest.mark.parametrize(
    ("arguments", "shape", "call", "message"),
    [
        ({"rotary_dim": 3}, (1, 2, 4), {}, r"rotary_dim must be even to pair features; received rotary_dim=3\. Use 2"),
        ({"rotary_dim": 6}, (1, 2, 4), {}, "rotary_dim must be <= the 4 features per head"),
        ({}, (1, 2, 5), {}, "features per head must be even .* Use 4 or 6"),
        ({}, (2, 4), {}, "inputs must have rank 4 or 3"),
        ({"max_wavelength": 0.1}, (1, 2, 4), {}, "max_wavelength must be a number"),
        ({"scaling": {"type": "linear"}}, (1, 2, 4), {}, "must have factor"),
        ({}, (1, 2, 4), {"positions": np.arange(3)}, "positions must have the length"),
        ({}, (1, 2, 4), {"positions": np.zeros(2, "float32")}, "positions must be integers"),
        ({"scaling": DYNAMIC}, (1, 2, 4), {"length": 0}, "length must be an integer >= 1"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, shape, call, message):
    with pytest.raises(ValueError, match=message):
        RotaryEmbedding(**arguments)(np.zeros(shape, "float32"), **call)
