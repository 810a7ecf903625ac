import keras
import numpy as np
import pytest
from keras import ops
from oracles.sinusoid import sinusoid_loop

from keras_arch.layers import SinusoidalPositionEncoding

pytestmark = pytest.mark.backend

EPSILON = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def test_output_is_input_plus_encoding(rng):
    x = rng.standard_normal((2, 5, 6)).astype("float32")
    got = values(SinusoidalPositionEncoding(max_wavelength=50.0)(x))
    np.testing.assert_allclose(got, x + sinusoid_loop(range(5), 6, 50.0).astype("float32"), atol=5e-7)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_encoding_of_zeros_is_exact_around_position_a_million(dtype):
    layer = SinusoidalPositionEncoding(dtype=dtype)
    got = layer(np.zeros((1, 20, 32)), start_index=999_990)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    assert np.abs(values(got)[0] - sinusoid_loop(range(999_990, 1_000_010), 32)).max() <= EPSILON[dtype]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_sum_is_rounded_once(rng, dtype):
    inputs = ops.cast(rng.standard_normal((2, 5, 6)), dtype)
    exact = ops.convert_to_numpy(ops.cast(inputs, "float32")).astype("float64")
    exact += np.asarray(
        ops.convert_to_numpy(SinusoidalPositionEncoding(dtype="float32")(np.zeros((2, 5, 6)), start_index=1000))
    )
    got = SinusoidalPositionEncoding(dtype=dtype)(inputs, start_index=1000)
    error = np.abs(ops.convert_to_numpy(ops.cast(got, "float32")) - exact)
    exponent = np.floor(np.log2(np.abs(exact)))
    assert (error <= 0.501 * EPSILON[dtype] * 2.0**exponent + 2.0**-22).all()


def test_steps_of_a_cached_decoding_equal_the_whole_pass(rng):
    layer, x = SinusoidalPositionEncoding(), rng.standard_normal((2, 4, 8)).astype("float32")
    steps = [layer(x[:, t : t + 1], start_index=ops.convert_to_tensor(t)) for t in range(4)]
    np.testing.assert_allclose(values(ops.concatenate(steps, axis=1)), values(layer(x)), atol=2.4e-7)


def test_positions_of_left_padded_samples(rng):
    layer, x = SinusoidalPositionEncoding(), rng.standard_normal((2, 4, 8)).astype("float32")
    positions = np.array([[0, 0, 0, 1], [0, 1, 2, 3]], "int32")
    got = values(layer(x, positions=positions))
    np.testing.assert_allclose(got[0, 2:], values(layer(x[:1, 2:]))[0], atol=2.4e-7)
    np.testing.assert_allclose(got[1], values(layer(x))[1], atol=2.4e-7)
    np.testing.assert_allclose(values(layer(x, positions=positions[1])), values(layer(x)), atol=2.4e-7)


def test_unknown_length_in_a_functional_model():
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, SinusoidalPositionEncoding()(inputs))
    assert model.output_shape == (None, None, 4)
    for length in (3, 5):
        got = model.predict(np.zeros((1, length, 4), "float32"), verbose=0)
        np.testing.assert_allclose(got[0], sinusoid_loop(range(length), 4).astype("float32"), atol=2e-7)


def test_mask_passes_through():
    tokens = np.array([[1, 2, 0, 0]])
    embedded = keras.layers.Embedding(3, 4, mask_zero=True)(tokens)
    pooled = keras.layers.GlobalAveragePooling1D()
    expected = values(SinusoidalPositionEncoding()(embedded))[:, :2].mean(axis=1)
    np.testing.assert_allclose(values(pooled(SinusoidalPositionEncoding()(embedded))), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((1, 3, 5), {}, r"size must be even .* received size=5"),
        ((3,), {}, "inputs must have a length axis and a feature axis"),
        ((1, 3, 4), {"start_index": 1.5}, "start_index must be an integer scalar"),
        ((2, 3, 4), {"start_index": np.array([0, 1])}, "Pass positions, one per sample"),
        ((1, 3, 4), {"positions": np.arange(3), "start_index": 1}, "exclude each other"),
        ((2, 3, 4), {"positions": np.arange(4)}, r"received positions=\(4,\).*\(3,\) and \(2, 3\)"),
    ],
)
def test_bad_calls_say_what_to_do(shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        SinusoidalPositionEncoding()(np.zeros(shape, "float32"), **arguments)
