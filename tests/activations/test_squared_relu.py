import numpy as np
import pytest
from keras import ops

from keras_arch.activations import squared_relu

pytestmark = pytest.mark.backend


def test_it_is_the_square_of_the_positive_part(rng):
    x = 5 * rng.standard_normal((7, 3)).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(squared_relu(x)), np.where(x > 0, x, 0) ** 2, rtol=1e-6)


def test_float16_squares_up_to_its_largest_number():
    got = ops.convert_to_numpy(squared_relu(ops.convert_to_tensor([255.0, 256.0, -256.0], dtype="float16")))
    np.testing.assert_array_equal(got, np.array([65024.0, np.inf, 0.0], "float16"))
