"""Mixing of states, a clock in half precision, and random numbers from it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.ops.zoneout import tick, uniform_at, zoneout

pytestmark = pytest.mark.backend


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def key(*values):
    return ops.cast(list(values), keras.random.SeedGenerator(0).state.dtype)


def test_the_expectation_is_the_mean_of_the_choices(rng):
    old, new = rng.normal(size=(2, 3)).astype("float32")
    draws = [numpy(zoneout(old, new, 0.3, np.full(3, u, "float32"))) for u in np.arange(0.005, 1, 0.01)]
    np.testing.assert_allclose(np.mean(draws, axis=0), numpy(zoneout(old, new, 0.3, None)), rtol=1e-5)
    np.testing.assert_array_equal(numpy(zoneout(old, new, 0.0, np.zeros(3, "float32"))), new)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_clock_counts_to_65535_in_any_precision(dtype):
    for start in (0, 254, 255, 256, 4095, 65534, 65535):
        clock = ops.cast([[start % 256, start // 256]], dtype)
        low, high = numpy(ops.cast(tick(clock), "float32"))[0]
        assert low + 256 * high == (start + 1) % 65536


def test_numbers_are_uniform_and_independent_over_time_entries_and_keys():
    clocks = np.tile(np.arange(40.0, dtype="float32")[:, None, None] * [1.0, 0.0], (1, 16, 1))  # (T, B, 2)
    drawn = np.array([numpy(uniform_at(key(5, 7), clock, 24)) for clock in clocks])  # (T, B, N)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert np.histogram(drawn, 4)[0] / drawn.size == pytest.approx([0.25] * 4, abs=0.02)
    for axis in range(3):
        for lag in (1, 2, 7):
            one, other = np.split(np.moveaxis(drawn, axis, 0), [lag])[1], np.moveaxis(drawn, axis, 0)[:-lag]
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.05  # 5 standard deviations
    other = numpy(uniform_at(key(5, 8), clocks[0], 24))
    assert not np.isin(other.ravel(), drawn[0]).any()
    np.testing.assert_array_equal(drawn[0], numpy(uniform_at(key(5, 7), clocks[0], 24)))


def test_any_sample_that_goes_on_changes_the_numbers():
    before = numpy(uniform_at(key(5, 7), np.array([[3.0, 0.0], [9.0, 0.0]]), 4))
    after = numpy(uniform_at(key(5, 7), np.array([[3.0, 0.0], [10.0, 0.0]]), 4))
    assert not (before == after).any()
