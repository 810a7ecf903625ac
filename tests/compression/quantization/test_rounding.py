"""Sums over tensors against NumPy."""

import numpy as np
import pytest
from oracles.fake_quant import fake_quant_channels_loop, fake_quant_loop

from keras_arch.compression import Scheme
from keras_arch.compression.quantization.rounding import Rounding

pytestmark = pytest.mark.backend


def test_figures_are_those_of_all_values_together(rng):
    scheme, sums = Scheme(4, narrow=True), Rounding()
    x, y = rng.normal(size=(30, 3)).astype("float32"), rng.normal(size=40).astype("float32")
    bounds = np.float32([0.5, 1.0, 2.0])
    sums.add(x, scheme, -bounds, bounds, channel_axes=1)
    sums.add(y, scheme, np.float32(-1), np.float32(1))
    rounded = [fake_quant_channels_loop(x, -bounds, bounds, 4, True, 1).ravel(), fake_quant_loop(y, -1, 1, 4, True)]
    exact, rounded = np.concatenate([x.ravel(), y]).astype("float64"), np.concatenate(rounded)
    noise = np.sum((exact - rounded) ** 2)
    assert sums.mean_squared_error == pytest.approx(noise / 130, rel=1e-4)
    assert sums.sqnr_db == pytest.approx(10 * np.log10(np.sum(exact**2) / noise), rel=1e-4)
    assert sums.zero_share == np.mean(rounded == 0)
    ends = (np.abs(x) >= bounds).sum() + (np.abs(y) >= 1).sum()
    assert sums.saturation == pytest.approx(ends / 130)


def test_no_noise_is_an_infinite_ratio_and_no_signal_a_negative_one():
    assert Rounding(signal=2.0).sqnr_db == float("inf")
    assert Rounding(noise=2.0).sqnr_db == -float("inf")
