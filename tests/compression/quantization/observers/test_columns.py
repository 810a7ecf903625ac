"""Channels become columns."""

import numpy as np
import pytest
from keras import ops

from keras_arch.compression.quantization.observers.columns import columns

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(("axes", "shape"), [(None, ()), ((0, 1), (4, 5)), ((0, 2, 3), (3,)), ((1, 2), (2, 5))])
def test_each_column_holds_the_values_of_one_channel(axes, shape):
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    matrix, kept = columns(x, axes)
    assert kept == shape
    reduced = tuple(range(4)) if axes is None else axes
    channels = [axis for axis in range(4) if axis not in reduced]
    expected = np.moveaxis(x, channels, range(4 - len(channels), 4)).reshape(-1, int(np.prod(shape)))
    np.testing.assert_array_equal(ops.convert_to_numpy(matrix), expected)
