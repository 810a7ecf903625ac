"""The absolute value, of variables and arrays."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.compression.pruning.criteria import Magnitude

pytestmark = pytest.mark.backend


def test_scores_are_absolute_values(rng):
    weight = rng.normal(size=(3, 4)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(Magnitude()(keras.Variable(weight))), np.abs(weight))
