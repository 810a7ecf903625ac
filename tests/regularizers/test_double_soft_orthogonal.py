"""Double soft orthogonality against NumPy and the single one."""

import numpy as np
import pytest
from keras import ops

from keras_arch.regularizers import DoubleSoftOrthogonal, SoftOrthogonal
from keras_arch.testing.check_regularizer import slope

pytestmark = pytest.mark.backend


def cost(penalty, w):
    return float(ops.convert_to_numpy(penalty(ops.convert_to_tensor(w, dtype="float32"))))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 3, 2, 4)])
def test_penalty_is_that_of_both_gram_matrices(rng, shape):
    w = rng.normal(size=shape)
    matrix = w.reshape(-1, shape[-1])
    both = [one.T @ one - np.eye(one.shape[1]) for one in (matrix, matrix.T)]
    wanted = 0.3 * sum(np.linalg.norm(one) ** 2 for one in both)
    assert cost(DoubleSoftOrthogonal(0.3), w) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 2, 2, 3)])
def test_it_is_twice_the_single_penalty_and_a_constant(rng, shape):
    w = rng.normal(size=shape).astype("float32") / 2
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    single = cost(SoftOrthogonal(0.3), w)
    assert cost(DoubleSoftOrthogonal(0.3), w) == pytest.approx(2 * single + 0.3 * abs(rows - columns), rel=1e-5)
    np.testing.assert_allclose(slope(DoubleSoftOrthogonal(0.03), w), slope(SoftOrthogonal(0.06), w), atol=1e-5)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        DoubleSoftOrthogonal(strength)
