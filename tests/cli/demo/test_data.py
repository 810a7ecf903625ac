"""The digits are real, divided by the seed, and never in both halves."""

import numpy as np
import pytest

from keras_arch.cli.demo.data import load_digits

datasets = pytest.importorskip("sklearn.datasets", reason="needs the extra keras-arch[demo]")


def test_the_two_halves_are_the_whole_data_set():
    digits = load_digits(seed=3)
    whole = datasets.load_digits()
    assert digits.x.shape == (1347, 8, 8, 1)
    assert digits.x_test.shape == (450, 8, 8, 1)
    assert digits.x.dtype == np.float32
    joined = np.concatenate([digits.x, digits.x_test])[..., 0] * 16
    assert sorted(map(bytes, joined.astype("float64"))) == sorted(map(bytes, whole.images))
    assert np.array_equal(np.bincount(np.concatenate([digits.y, digits.y_test])), np.bincount(whole.target))


def test_the_seed_decides_the_division():
    first, again, other = load_digits(0), load_digits(0), load_digits(1)
    assert np.array_equal(first.x_test, again.x_test)
    assert not np.array_equal(first.x_test, other.x_test)
