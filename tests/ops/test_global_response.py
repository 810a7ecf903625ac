import numpy as np
import pytest
from keras import ops
from oracles.global_response import global_response_loop

from keras_arch.ops.global_response import global_response

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 4, 5, 3), (1, 2, 3, 2, 4)])
def test_equals_the_loop(shape, rng):
    x = rng.standard_normal(shape).astype("float32")
    got = ops.convert_to_numpy(global_response(ops.convert_to_tensor(x), 0.1))
    np.testing.assert_allclose(got, global_response_loop(x, 0.1), rtol=1e-5, atol=1e-6)


def test_the_weights_of_the_channels_have_the_mean_one(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    ratio = ops.convert_to_numpy(global_response(ops.convert_to_tensor(x), 1e-7)) / x
    np.testing.assert_allclose(ratio.mean(axis=-1), 1, rtol=1e-4)


def test_an_image_of_zeros_stays_zero():
    got = ops.convert_to_numpy(global_response(ops.zeros((1, 2, 2, 3))))
    np.testing.assert_array_equal(got, np.zeros((1, 2, 2, 3)))
