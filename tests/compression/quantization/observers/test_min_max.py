"""The range of everything seen."""

import numpy as np
import pytest
from keras import ops

from keras_arch.compression.quantization.observers import MinMax

pytestmark = pytest.mark.backend


def test_the_range_holds_zero_and_every_value_of_every_batch(rng):
    batches = [rng.normal(mean, 1, (50,)).astype("float32") for mean in (3, 0, -2)]
    low = high = 0.0
    for i, batch in enumerate(batches):
        low, high = MinMax().merge(low, high, *MinMax().measure(batch), i)
    np.testing.assert_allclose([float(low), float(high)], [np.min(batches), np.max(batches)], rtol=1e-6)
    assert float(MinMax().measure(np.float32([2.0, 3.0]))[0]) == 0.0


def test_channels_are_measured_one_by_one(rng):
    x = rng.normal(0, 1, (3, 4, 5)).astype("float32")
    low, high = MinMax().measure(x, axes=(0, 1))
    np.testing.assert_array_equal(ops.convert_to_numpy(low), np.minimum(x.min((0, 1)), 0))
    np.testing.assert_array_equal(ops.convert_to_numpy(high), np.maximum(x.max((0, 1)), 0))
