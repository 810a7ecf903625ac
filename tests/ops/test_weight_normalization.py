import itertools

import numpy as np
import pytest
from keras import ops

from keras_arch.ops.weight_normalization import filter_norms, weight_normalized

pytestmark = pytest.mark.backend
AXES = [(3,), (2,), (2, 3), (0,)]


def filters(kernel, axes):
    """Every filter of a kernel, the last filter axis fastest."""
    for place in itertools.product(*(range(kernel.shape[axis]) for axis in axes)):
        index = [slice(None)] * kernel.ndim
        for axis, position in zip(axes, place, strict=True):
            index[axis] = position
        yield tuple(index)


@pytest.mark.parametrize("axes", AXES)
def test_every_filter_points_the_same_way_and_has_its_gain_for_a_length(axes, rng):
    direction = rng.standard_normal((2, 3, 4, 5)).astype("float32")
    indices = list(filters(direction, axes))
    gain = rng.standard_normal(len(indices)).astype("float32")
    got = ops.convert_to_numpy(weight_normalized(ops.convert_to_tensor(direction), ops.convert_to_tensor(gain), axes))
    for length, index in zip(gain, indices, strict=True):
        wanted = length * direction[index] / np.linalg.norm(direction[index].astype("float64"))
        np.testing.assert_allclose(got[index], wanted, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("axes", AXES)
def test_norms_come_in_the_order_of_the_gains(axes, rng):
    kernel = rng.standard_normal((2, 3, 4, 5)).astype("float32")
    got = ops.convert_to_numpy(filter_norms(ops.convert_to_tensor(kernel), axes))
    np.testing.assert_allclose(got, [np.linalg.norm(kernel[index]) for index in filters(kernel, axes)], rtol=1e-6)


def test_a_filter_of_zeros_stays_zero():
    direction = ops.convert_to_tensor(np.array([[0.0, 1.0], [0.0, 1.0]], "float32"))
    got = ops.convert_to_numpy(weight_normalized(direction, ops.ones(2), (1,)))
    np.testing.assert_allclose(got, [[0, 0.5**0.5], [0, 0.5**0.5]], rtol=1e-6)
