"""The running range against its closed form."""

import numpy as np
import pytest

from keras_arch.compression.quantization.observers import MSE, LearnedStep, MinMax, MovingAverage, Percentile

pytestmark = pytest.mark.backend


def test_the_average_equals_its_recurrence(rng):
    ends = rng.uniform(0.5, 2, (12, 2))
    expected = got = (0.0, 0.0)
    for t, (low, high) in enumerate(ends):
        got = MovingAverage(decay=0.5).merge(*got, -low, high, t)
        decay = min(0.5, t / (t + 9))
        expected = tuple(decay * old + (1 - decay) * new for old, new in zip(expected, (-low, high), strict=True))
    np.testing.assert_allclose([float(end) for end in got], expected, rtol=1e-5)


def test_a_constant_range_is_kept():
    low, high = 0.0, 0.0
    for t in range(5):
        low, high = MovingAverage().merge(low, high, -1.5, 2.5, t)
    np.testing.assert_allclose([float(low), float(high)], [-1.5, 2.5], rtol=1e-6)


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan"), "fast"])
def test_a_decay_outside_its_interval_is_refused(decay):
    with pytest.raises(ValueError, match="decay must be a number in"):
        MovingAverage(decay)


@pytest.mark.parametrize("observer", [MovingAverage(), Percentile(), MSE(), LearnedStep()])
def test_pooled_ranges_are_the_mean_in_any_order(observer, rng):
    ends = rng.uniform(0.5, 2, (12, 2)) * [-1, 1]
    for order in (np.arange(12), rng.permutation(12)):
        got = (0.0, 0.0)
        for t, (low, high) in enumerate(ends[order]):
            got = observer.pool(*got, low, high, t)
        np.testing.assert_allclose([float(end) for end in got], ends.mean(axis=0), rtol=1e-6)


def test_pooled_extremes_are_those_of_all_batches():
    assert [float(end) for end in MinMax().pool(-1.0, 2.0, -0.5, 3.0, 7)] == [-1.0, 3.0]
