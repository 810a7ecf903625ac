import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.ops.l2_norm import l2_norm

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_equals_the_loop(axes, rng):
    x = rng.standard_normal((2, 3, 4)).astype("float32")
    wanted = np.sqrt(np.sum(x.astype("float64") ** 2, axis=axes, keepdims=True))
    np.testing.assert_allclose(ops.convert_to_numpy(l2_norm(ops.convert_to_tensor(x), axes)), wanted, rtol=1e-6)


def test_squares_do_not_overflow_in_float16():
    got = l2_norm(ops.full((4, 1), 300.0, dtype="float16"), (0,))
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    np.testing.assert_array_equal(ops.convert_to_numpy(got), [[600.0]])


def test_the_gradient_at_zero_is_zero():
    class Norm(keras.Model):
        def __init__(self):
            super().__init__()
            self.point = self.add_weight(shape=(2, 2), initializer="zeros")

        def call(self, inputs):
            return ops.reshape(l2_norm(self.point, (0,)), (1, 2)) + 0 * inputs

    model = Norm()
    model.point.assign([[0.0, 3.0], [0.0, 4.0]])
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, outputs: ops.sum(outputs))
    model.fit(np.zeros((1, 2)), np.zeros((1, 2)), verbose=0)
    moved = ops.convert_to_numpy(model.point)
    np.testing.assert_allclose(moved, [[0.0, 3.0 - 0.6], [0.0, 4.0 - 0.8]], rtol=1e-5)
