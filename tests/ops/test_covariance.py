"""Covariances of features against numpy.cov."""

import numpy as np
import pytest
from keras import ops

from keras_arch.ops.covariance import off_diagonal_covariance

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("shape", [(6, 3), (1, 3), (4, 2, 3), (2, 3, 2, 4)])
def test_loss_is_that_of_numpy(rng, shape):
    h = rng.normal(size=shape) + 3
    covariance = np.cov(h.reshape(-1, shape[-1]).T, bias=True)
    wanted = 0.5 * (np.linalg.norm(covariance) ** 2 - np.linalg.norm(np.diag(covariance)) ** 2)
    got = float(ops.convert_to_numpy(off_diagonal_covariance(ops.convert_to_tensor(h, dtype="float32"))))
    assert got == pytest.approx(wanted, rel=1e-4, abs=1e-12)


def test_small_covariances_beside_large_variances_are_not_lost():
    h = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * [300.0, 300.0] + [
        [0.5, 0],
        [0, 0],
        [0, 0],
        [0, 0],
    ]
    covariance = np.cov(h.T, bias=True)
    got = float(ops.convert_to_numpy(off_diagonal_covariance(ops.convert_to_tensor(h, dtype="float32"))))
    assert got == pytest.approx(covariance[0, 1] ** 2, rel=1e-2)
