"""Baselines spread over a batch."""

import numpy as np
import pytest

from keras_arch.explain.baseline import resolve

pytestmark = pytest.mark.backend


def test_numbers_samples_and_batches_spread_over_the_inputs(rng):
    x = np.zeros((3, 2, 4), "float32")
    np.testing.assert_array_equal(resolve(0.5, x), np.full((3, 2, 4), 0.5))
    one, each = rng.normal(size=(2, 4)), rng.normal(size=(3, 2, 4))
    np.testing.assert_array_equal(resolve(one, x), np.stack([one] * 3).astype("float32"))
    np.testing.assert_array_equal(resolve(each, x), each.astype("float32"))
    np.testing.assert_array_equal(resolve(one.tolist(), x), resolve(one, x))
    assert resolve(each, x).dtype == np.float32


def test_several_inputs_take_a_number_or_their_own_structure():
    x = {"a": np.zeros((2, 3), "float32"), "b": [np.zeros((2, 1), "float32")]}
    assert resolve(1.0, x)["b"][0].tolist() == [[1.0], [1.0]]
    got = resolve({"a": np.arange(3), "b": [2.0]}, x)
    assert got["a"].tolist() == [[0, 1, 2], [0, 1, 2]]
    assert got["b"][0].tolist() == [[2], [2]]


@pytest.mark.parametrize(
    ("baseline", "match"),
    [
        (np.zeros(4), r"baseline must be a number, or have the shape of one sample \(3,\) or of the batch \(2, 3\)"),
        (np.zeros((1, 3)), r"received a baseline of shape \(1, 3\)"),
        (np.nan, "baseline must be finite"),
    ],
)
def test_a_baseline_that_does_not_fit_is_named(baseline, match):
    with pytest.raises(ValueError, match=match):
        resolve(baseline, np.zeros((2, 3), "float32"))


def test_a_structure_that_does_not_fit_is_named():
    x = {"a": np.zeros((2, 3), "float32"), "b": np.zeros((2, 1), "float32")}
    with pytest.raises(ValueError, match="baseline must be a number or have the inputs' structure"):
        resolve({"a": 0.0}, x)
