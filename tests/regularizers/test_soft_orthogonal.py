"""Soft orthogonality against NumPy and orthonormal kernels."""

import numpy as np
import pytest
from keras import ops

from keras_arch.regularizers import SoftOrthogonal

pytestmark = pytest.mark.backend


def cost(penalty, w):
    return float(ops.convert_to_numpy(penalty(ops.convert_to_tensor(w, dtype="float32"))))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 3, 2, 4), (1, 1, 2, 5)])
def test_penalty_is_that_of_the_smaller_gram_matrix(rng, shape):
    w = rng.normal(size=shape)
    matrix = w.reshape(-1, shape[-1])
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    wanted = 0.3 * np.linalg.norm(matrix.T @ matrix - np.eye(matrix.shape[1])) ** 2
    assert cost(SoftOrthogonal(0.3), w) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 2, 3, 4), (1, 1, 4, 6)])
def test_orthonormal_kernels_of_either_shape_cost_nothing(rng, shape):
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    q = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))[0]
    w = (q if rows >= columns else q.T).reshape(shape)
    assert cost(SoftOrthogonal(1.0), w) == pytest.approx(0, abs=1e-10)
    assert cost(SoftOrthogonal(1.0), 1.1 * w) > 0.1  # length counts


def test_a_bias_raises():
    with pytest.raises(ValueError, match="needs a kernel of rank 2 or more"):
        SoftOrthogonal(0.1)(ops.ones((3,)))


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        SoftOrthogonal(strength)
