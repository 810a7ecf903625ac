"""What takes the place of features that are away."""

import numpy as np
import pytest
from keras import ops
from oracles.perturbation import blend

from keras_arch.explain.perturbation.stand_in import keep_features, stand_in

pytestmark = pytest.mark.backend


def test_a_number_stays_small_and_arrays_come_by_sample():
    x = np.zeros((3, 4, 5, 2), "float32")
    assert stand_in(0.5, None, x).leaves[0].shape == (3, 1, 1, 1)
    each = np.random.default_rng(0).normal(size=x.shape)
    got = stand_in(each, None, x)
    np.testing.assert_array_equal(got.of(np.array([2, 0]), np.array([0, 0]))[0], each[[2, 0]].astype("float32"))
    one = stand_in(each[0], None, x)
    np.testing.assert_array_equal(
        one.of(np.array([2, 1]), np.array([0, 0]))[0], np.stack([each[0]] * 2, dtype="float32")
    )
    assert (got.count, got.pick(np.array([1])).leaves[0].shape) == (1, (1, 4, 5, 2))


def test_a_background_comes_by_version():
    x = [np.zeros((2, 3), "float32"), np.zeros((2, 1), "int32")]
    rows = [np.arange(12).reshape(4, 3), np.arange(4)[:, None]]
    got = stand_in(0.0, rows, x)
    assert got.count == 4
    first, second = got.of(np.array([0, 1]), np.array([3, 1]))
    assert first.tolist() == [[9, 10, 11], [3, 4, 5]]
    assert second.tolist() == [[3], [1]]
    assert second.dtype == np.int32
    assert got.pick(np.array([1])).count == 4


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_kept_features_equal_a_loop_over_positions(dtype, rng):
    x = rng.integers(1, 9, (3, 4, 2)).astype(dtype)
    labels = rng.integers(0, 3, (3, 4, 1)).astype("int32")
    away = -rng.integers(1, 9, (3, 1, 2)).astype(dtype)
    kept = rng.random((3, 3)) < 0.5
    tensors = [ops.convert_to_tensor(part) for part in (x, kept, labels, away)]
    got = ops.convert_to_numpy(keep_features(tensors[0], tensors[1], tensors[2:3], tensors[3:]))
    for row in range(3):
        want = blend(x[row], labels[row], set(np.flatnonzero(kept[row])), away[row])
        np.testing.assert_array_equal(got[row], want)
    assert got.dtype == dtype


@pytest.mark.parametrize(
    ("arguments", "x", "match"),
    [
        ((np.zeros(4), None), np.zeros((2, 3), "float32"), "baseline must be a number, or have the shape"),
        ((0.5, None), np.zeros((2, 3), "int32"), "baseline must hold whole numbers for inputs of dtype int32.* 0.5"),
        (
            (0.0, np.zeros((0, 3))),
            np.zeros((2, 3), "float32"),
            r"background must hold at least one sample, shaped \(rows, 3\)",
        ),
        ((0.0, np.zeros(3)), np.zeros((2, 3), "float32"), r"received shapes \[\(3,\)\]"),
        ((0.0, np.zeros((5, 4))), np.zeros((2, 3), "float32"), r"received shapes \[\(5, 4\)\]"),
        ((0.0, np.full((5, 3), np.nan)), np.zeros((2, 3), "float32"), "background must be finite"),
        ((1.0, np.zeros((5, 3))), np.zeros((2, 3), "float32"), "background must be None where a baseline is given"),
        ((0.0, [np.zeros((5, 3))]), [np.zeros((2, 3))] * 2, "background must hold at least one sample"),
        ((0.0, [np.zeros((5, 3)), np.zeros((4, 3))]), [np.zeros((2, 3))] * 2, "background must hold"),
    ],
)
def test_what_does_not_fit_is_named(arguments, x, match):
    with pytest.raises(ValueError, match=match):
        stand_in(*arguments, x)
