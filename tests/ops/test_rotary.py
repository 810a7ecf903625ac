import keras
import numpy as np
import pytest
from keras import ops
from oracles.rotary import rotary_loop

from keras_arch.ops.rotary import rotate, rotate_heads

pytestmark = pytest.mark.backend


def values(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("features", [6, 9])
def test_pairs_turn_as_the_loop_turns_them(rng, interleaved, features):
    x = rng.standard_normal((4, 2, features)).astype("float32")
    frequencies = np.array([1.0, 0.3, 0.01])
    angles = np.arange(4)[:, None] * frequencies
    got = rotate_heads(x[None], np.sin(angles), np.cos(angles), interleaved)
    wanted = rotary_loop(x, range(4), frequencies, interleaved).astype("float64")
    np.testing.assert_allclose(values(got)[0], wanted, atol=5e-7)
    np.testing.assert_array_equal(values(got)[0, ..., 6:], x[..., 6:])


def test_angles_of_each_sample_and_inputs_without_heads(rng):
    x, angles = rng.standard_normal((2, 3, 4)).astype("float32"), rng.standard_normal((2, 3, 2))
    got = values(rotate_heads(x, np.sin(angles), np.cos(angles)))
    heads = values(rotate_heads(np.stack([x, x], 2), np.sin(angles), np.cos(angles)))
    np.testing.assert_array_equal(got, heads[:, :, 1])
    turned = (x[..., :2] + 1j * x[..., 2:]) * np.exp(1j * angles)
    np.testing.assert_allclose(got, np.concatenate([turned.real, turned.imag], -1), atol=3e-7)


def test_products_of_half_precision_are_taken_in_float32():
    x = ops.cast(np.array([1.0, 1.0], "float32"), "bfloat16")
    got = rotate(x, np.array([0.50001], "float32"), np.array([0.5], "float32"))
    assert keras.backend.standardize_dtype(got.dtype) == "bfloat16"
    np.testing.assert_allclose(values(got), [-1e-5, 1.0], rtol=1e-2)  # 0.50001 is 0.5 in bfloat16: 0 without float32
