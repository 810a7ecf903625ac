"""The model's input, followed through layers that move or rescale it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.explain.relevance.origin import Origin, bound

L = keras.layers


@pytest.mark.backend
def test_padding_has_no_share_and_rescaling_moves_the_bounds():
    x = ops.ones((1, 2, 2, 3))
    start = Origin(x, ops.ones_like(x), bound(x, 0.0), bound(x, [1.0, 2.0, 3.0]))
    rescaling, padding = L.Rescaling(2.0, -1.0), L.ZeroPadding2D(1)
    end = start.through(rescaling, rescaling).through(padding, padding)
    share, low, high = (ops.convert_to_numpy(part) for part in (end.share, end.low, end.high))
    assert share.shape == (1, 4, 4, 3)
    assert share.sum() == 12
    np.testing.assert_allclose(low[0, 1, 1], -1.0)
    np.testing.assert_allclose(high[0, 1, 1], [1.0, 3.0, 5.0])
    np.testing.assert_allclose(high[0, 0, 0], 0.0)


def test_other_layers_end_it():
    x = ops.ones((1, 2))
    dense = L.Dense(2)
    assert Origin(x, x).through(dense, dense) is None


def test_a_cast_changes_dtypes_only():
    x = ops.ones((1, 2))
    half = Origin(x, x, x, x).cast(ops.ones((1, 2), "float16"))
    assert {keras.backend.standardize_dtype(part.dtype) for part in (half.value, half.share, half.low)} == {"float16"}
