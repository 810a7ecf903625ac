import keras
import numpy as np
import pytest
from keras import ops
from oracles.sinusoid import sinusoid_loop

from keras_arch.layers import SinusoidalPositionEncoding2D

pytestmark = pytest.mark.backend

EPSILON = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def grid(rows, columns, size, max_wavelength=10000.0):
    """The encoding of each cell, (h, w, D): the row's, then the column's."""
    by_row, by_column = (sinusoid_loop(one, size // 2, max_wavelength) for one in (rows, columns))
    shape = (len(rows), len(columns), size // 2)
    halves = [np.broadcast_to(by_row[:, None], shape), np.broadcast_to(by_column[None], shape)]
    return np.concatenate(halves, -1)


def test_output_is_input_plus_the_encodings_of_row_and_column(rng):
    x = rng.standard_normal((2, 3, 5, 8)).astype("float32")
    got = values(SinusoidalPositionEncoding2D(max_wavelength=50.0)(x))
    np.testing.assert_allclose(got, x + grid(range(3), range(5), 8, 50.0).astype("float32"), atol=5e-7)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_encoding_is_within_one_unit_in_the_last_place_up_to_position_a_million(dtype):
    layer = SinusoidalPositionEncoding2D(dtype=dtype)
    got = layer(np.zeros((1, 4, 6, 32)), start_index=(999_996, 700_000))
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    wanted = grid(range(999_996, 1_000_000), range(700_000, 700_006), 32).astype("float64")
    assert np.abs(values(got)[0] - wanted).max() <= EPSILON[dtype]
    if dtype != "float32":
        smallest = 2.0**-14 if dtype == "float16" else 2.0**-126
        unit = np.exp2(np.floor(np.log2(np.maximum(np.abs(wanted), smallest)))) * EPSILON[dtype]
        assert (np.abs(values(got)[0] - wanted) / unit).max() <= 0.501


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_sum_is_rounded_once(rng, dtype):
    x = ops.cast(rng.standard_normal((1, 6, 6, 32)), dtype)
    got = values(SinusoidalPositionEncoding2D(dtype=dtype)(x))[0]
    wanted = (values(x)[0] + grid(range(6), range(6), 32)).astype("float64")
    unit = np.exp2(np.floor(np.log2(np.abs(wanted)))) * EPSILON[dtype]
    assert (np.abs(got - wanted) <= 0.501 * unit + 2.0**-22).all()


def test_tiles_of_an_image_equal_the_whole(rng):
    layer, x = SinusoidalPositionEncoding2D(), rng.standard_normal((2, 5, 6, 4)).astype("float32")
    whole = values(layer(x))
    np.testing.assert_allclose(values(layer(x[:, 2:, 3:5], start_index=(2, 3))), whole[:, 2:, 3:5], atol=5e-7)
    positions = np.stack(np.meshgrid(np.arange(5), np.arange(6), indexing="ij"), -1)
    np.testing.assert_allclose(values(layer(x, positions=positions)), whole, atol=5e-7)
    each = np.stack([positions, positions + 7])
    got = values(layer(x, positions=each))
    np.testing.assert_allclose(got[0], whole[0], atol=5e-7)
    np.testing.assert_allclose(got[1:], values(layer(x[1:], start_index=(7, 7))), atol=5e-7)


def test_unknown_sizes_in_a_functional_model():
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, SinusoidalPositionEncoding2D()(inputs))
    assert model.output_shape == (None, None, None, 4)
    got = model.predict(np.zeros((1, 2, 3, 4), "float32"), verbose=0)
    np.testing.assert_allclose(got[0], grid(range(2), range(3), 4).astype("float32"), atol=2e-7)


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((1, 2, 3, 6), {}, "features must be a multiple of 4.*received features=6"),
        ((1, 3, 4), {}, "inputs must have rank 4"),
        ((1, 2, 3, 4), {"start_index": 3}, r"start_index must be a pair of integers \(row, column\)"),
        ((1, 2, 3, 4), {"start_index": (0.5, 1)}, "start_index must be a pair of integers"),
        ((1, 2, 3, 4), {"positions": np.zeros((2, 3), "int32")}, r"positions must have the shape \(2, 3, 2\)"),
        ((1, 2, 3, 4), {"positions": np.zeros((2, 4, 2), "int32")}, "Stack rows and columns on the last axis"),
        ((1, 2, 3, 4), {"positions": np.zeros((2, 3, 2))}, "positions must be integers"),
        ((1, 2, 3, 4), {"positions": np.zeros((2, 3, 2), "int32"), "start_index": (1, 0)}, "exclude each other"),
    ],
)
def test_bad_calls_say_what_to_do(shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        SinusoidalPositionEncoding2D()(np.zeros(shape, "float32"), **arguments)
