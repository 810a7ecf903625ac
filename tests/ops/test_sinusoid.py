import keras
import numpy as np
import pytest
from keras import ops
from oracles.sinusoid import sinusoid_loop, vaswani_formula

from keras_arch.ops.sinusoid import sine_and_cosine, sinusoid, sinusoid_frequencies

pytestmark = pytest.mark.backend

EPSILON = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def as_float64(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32")).astype("float64")


def test_oracle_is_the_formula_of_the_paper():
    table = sinusoid_loop(range(7), 6)
    expected = [[vaswani_formula(position, feature, 6) for feature in range(6)] for position in range(7)]
    np.testing.assert_allclose(table.astype("float64"), expected, atol=1e-15)


def test_frequencies_fall_from_one_by_a_constant_factor():
    frequencies = sinusoid_frequencies(8, max_wavelength=16.0)
    assert frequencies.dtype == np.float64
    np.testing.assert_allclose(frequencies, [1.0, 0.5, 0.25, 0.125], rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("first", [0, 999_900, 2**24 - 100])
def test_encoding_is_within_one_unit_in_the_last_place_of_the_dtype(first, dtype):
    positions = np.arange(first, first + 100, dtype="int32")
    expected = sinusoid_loop(positions, 64)
    encoding = sinusoid(positions, 64, dtype=dtype)
    assert keras.backend.standardize_dtype(encoding.dtype) == dtype
    assert np.abs(as_float64(encoding) - expected).max() <= EPSILON[dtype]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_is_the_rounded_truth_up_to_position_a_million(dtype):
    positions = np.arange(999_950, 1_000_050, dtype="int32")
    encoding, expected = as_float64(sinusoid(positions, 32, dtype=dtype)), sinusoid_loop(positions, 32)
    spacing = np.exp2(np.floor(np.log2(np.abs(expected.astype("float64"))))) * EPSILON[dtype]
    assert (np.abs(encoding - expected) / spacing).max() <= 0.501


def test_small_values_keep_their_relative_precision_at_small_positions():
    expected = sinusoid_loop(range(1, 50), 64)[:, 0::2]
    sine = as_float64(sine_and_cosine(np.arange(1, 50, dtype="int32"), sinusoid_frequencies(64))[0])
    np.testing.assert_allclose(sine, expected.astype("float64"), rtol=3e-7)


def test_all_four_quarters_of_the_turn_and_negative_positions():
    positions = np.arange(-40, 40, dtype="int32")
    angle = positions[:, None] * np.array([0.9, -0.4])
    sine, cosine = sine_and_cosine(positions, np.array([0.9, -0.4]))
    np.testing.assert_allclose(as_float64(sine), np.sin(angle), atol=2e-7)
    np.testing.assert_allclose(as_float64(cosine), np.cos(angle), atol=2e-7)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX computes in float32 unless x64 is switched on")
def test_float64_is_computed_in_float64():
    encoding = ops.convert_to_numpy(sinusoid(np.array([123_456]), 16, dtype="float64"))
    np.testing.assert_allclose(encoding, sinusoid_loop([123_456], 16).astype("float64"), atol=1e-10)


def test_shape_follows_the_positions():
    positions = np.array([[0, 1, 2], [5, 6, 7]], "int64")
    encoding = as_float64(sinusoid(positions, 4))
    assert encoding.shape == (2, 3, 4)
    np.testing.assert_allclose(encoding[1], as_float64(sinusoid(positions[1], 4)), atol=1.2e-7)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="compiles with tf.function")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_with_unknown_length_equals_the_oracle(jit_compile):
    import tensorflow as tf

    signature = [tf.TensorSpec((None,), tf.int32)]
    compiled = tf.function(lambda p: sinusoid(p, 32), input_signature=signature, jit_compile=jit_compile)
    positions = np.arange(999_990, 1_000_010, dtype="int32")
    assert np.abs(compiled(positions).numpy() - sinusoid_loop(positions, 32)).max() <= EPSILON["float32"]


def test_bad_arguments_say_what_to_do():
    with pytest.raises(ValueError, match=r"size must be even .* received size=7\. Use size=8"):
        sinusoid([0], 7)
    with pytest.raises(ValueError, match=r"positions must be integers; received the dtype float32"):
        sinusoid(np.array([0.5], "float32"), 8)
    with pytest.raises(ValueError, match=r"max_wavelength must be a number in \[1, inf\)"):
        sinusoid_frequencies(8, 0.5)
