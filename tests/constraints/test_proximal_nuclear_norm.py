"""The nuclear norm's proximal step in training: the rank falls."""

import numpy as np
import pytest
from keras import ops

from keras_arch.constraints import ProximalNuclearNorm
from keras_arch.ops.kernel_matrix import nuclear_norm

pytestmark = pytest.mark.backend


def test_sgd_with_it_finds_a_minimum_of_low_rank(rng, regression_by_sgd):
    x = np.linalg.qr(rng.normal(size=(20, 4)))[0] * np.sqrt(20)  # orthogonal inputs: the solution has a closed form
    true = np.outer(rng.normal(size=4), rng.normal(size=3))
    y = x @ true + 0.2 * rng.normal(size=(20, 3))
    # Loss 1/3 ‖w − least squares‖² + const: its singular values fall by strength · 3 / 2.
    u, s, v = np.linalg.svd(x.T @ y / 20, full_matrices=False)
    wanted = (u * np.maximum(s - 0.3 * 3 / 2, 0)) @ v
    got = regression_by_sgd(x, y, 0.5, 60, kernel_constraint=ProximalNuclearNorm(0.3, 0.5))
    np.testing.assert_allclose(got, wanted, atol=1e-4)
    assert np.linalg.matrix_rank(got, tol=1e-5) == np.linalg.matrix_rank(wanted) < 3


def test_a_step_takes_the_threshold_off_the_norm(rng):
    w = ops.convert_to_tensor(rng.normal(size=(2, 2, 2, 3)).astype("float32"))
    before, after = (float(ops.convert_to_numpy(nuclear_norm(one))) for one in (w, ProximalNuclearNorm(1.0, 0.1)(w)))
    assert after == pytest.approx(before - 3 * 0.1, rel=1e-5)


def test_a_bias_raises():
    with pytest.raises(ValueError, match="needs a kernel of rank 2 or more"):
        ProximalNuclearNorm(0.1)(ops.ones((3,)))


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        ProximalNuclearNorm(strength)
