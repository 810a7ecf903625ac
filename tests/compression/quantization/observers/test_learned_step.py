"""Where learned steps start, against the formula of the paper."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.compression import PerChannel, Scheme
from keras_arch.compression.quantization.observers import LearnedStep, MovingAverage

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(("bits", "narrow", "largest"), [(2, True, 1), (3, False, 3), (8, True, 127)])
def test_a_symmetric_start_is_twice_the_mean_magnitude_over_the_root_of_the_largest_integer(bits, narrow, largest, rng):
    x = rng.normal(size=(7, 5, 3)).astype("float32")
    scheme = Scheme(bits, narrow=narrow, observer=LearnedStep())
    low, high = (ops.convert_to_numpy(end) for end in scheme.measure(x, (0, 1)))
    step = 2 * np.abs(x).mean((0, 1)) / np.sqrt(largest)
    np.testing.assert_allclose(ops.convert_to_numpy(scheme.step(low, high)), step, rtol=1e-5)
    np.testing.assert_allclose(high, largest * step, rtol=1e-5)
    np.testing.assert_allclose(low, -high)


def test_what_is_never_negative_starts_on_a_grid_from_zero(rng):
    x = np.abs(rng.normal(size=200)).astype("float32")
    scheme = Scheme(4, symmetric=False, observer="learned_step")
    low, high = (float(end) for end in scheme.measure(x))
    assert low == 0
    assert high == pytest.approx(15 * 2 * x.mean() / 15**0.5, rel=1e-5)
    low, high = (float(end) for end in scheme.measure(-x))
    assert high == 0
    assert low == pytest.approx(-15 * 2 * x.mean() / 15**0.5, rel=1e-5)


def test_a_tensor_of_zeros_has_an_empty_range():
    assert [float(end) for end in Scheme(observer="learned_step").measure(np.zeros((3, 3), "float32"))] == [0.0, 0.0]


def test_batches_are_averaged():
    kept = (np.float32(-1.0), np.float32(2.0), np.float32(-3.0), np.float32(6.0), 5)
    for one, other in zip(LearnedStep(0.5).merge(*kept), MovingAverage(0.5).merge(*kept), strict=True):
        assert float(one) == float(other) != 6.0


def test_it_has_a_string_id_and_returns_from_its_config():
    assert Scheme(observer="learned_step").observer == LearnedStep(0.99)
    scheme = Scheme(3, granularity=PerChannel(-1), observer=LearnedStep(0.5))
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(scheme)) == scheme
    with pytest.raises(ValueError, match="decay must be"):
        LearnedStep(1.0)
