"""Comparing structures of arrays."""

import keras
import numpy as np
import pytest

from keras_arch.testing.layer.check import Mismatch
from keras_arch.testing.layer.compare import assert_close, equal, error_of, leaves, scale_of, to_numpy, value_of

pytestmark = pytest.mark.backend


def test_errors_are_relative_to_the_largest_magnitude_wanted():
    assert error_of(np.array([1.0, 4.5]), np.array([1.0, 5.0])) == 0.1
    assert error_of(np.array([0.5]), np.array([0.0])) == 0.5
    assert scale_of(np.zeros(0)) == 1.0


def test_nan_and_infinity_must_match():
    nan, inf = float("nan"), float("inf")
    assert error_of(np.array([nan, inf, 1.0]), np.array([nan, inf, 1.0])) == 0.0
    assert error_of(np.array([nan]), np.array([1.0])) == inf
    assert error_of(np.array([inf]), np.array([-inf])) == inf


def test_the_worst_error_is_returned():
    assert assert_close(
        {"a": np.array([1.1]), "b": np.array([2.0])}, {"a": np.ones(1), "b": np.full(1, 2.0)}, 0.2, "x"
    ) == (pytest.approx(0.1))


@pytest.mark.parametrize(
    ("got", "message"),
    [
        ([np.ones(2)], "1 arrays against 2"),
        ([np.ones(2), np.ones(3)], r"outputs\[1\] has the shape \(3,\) against \(2,\)"),
        ([np.ones(2), np.array([1.0, 1.5])], r"mine: outputs\[1\] differs by 0.5 .* \(allowed 0.1\)"),
    ],
)
def test_a_difference_is_described(got, message):
    with pytest.raises(Mismatch, match=message):
        assert_close(got, [np.ones(2), np.ones(2)], 0.1, "mine")


def test_tolerance_zero_asks_for_equal_bits():
    with pytest.raises(Mismatch, match="must be equal bit for bit"):
        assert_close(np.float32(1) + np.finfo("float32").eps, np.float32(1), 0.0, "x")


def test_half_precision_becomes_float32():
    halves = to_numpy({"x": keras.ops.cast([1.5], "bfloat16"), "n": keras.ops.cast([2], "int32")})
    assert halves["x"].dtype == "float32"
    assert halves["n"].dtype == "int32"


def test_paths_name_the_leaves():
    assert leaves(3) == [("outputs", 3)]
    assert leaves([1, {"k": 2}]) == [("outputs[0]", 1), ("outputs[1]['k']", 2)]


def test_values_of_variables_are_arrays():
    assert value_of(keras.Variable([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert equal([np.array([float("nan")])], [np.array([float("nan")])])
    assert not equal([np.zeros(1)], [np.ones(1)])
