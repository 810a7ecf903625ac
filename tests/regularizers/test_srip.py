"""The restricted isometry penalty against numpy.linalg."""

import numpy as np
import pytest
from keras import ops

from keras_arch.regularizers import SRIP
from keras_arch.testing.check_regularizer import slope

pytestmark = pytest.mark.backend


def cost(penalty, w):
    return float(ops.convert_to_numpy(penalty(ops.convert_to_tensor(w, dtype="float32"))))


def singular_values(w):
    return np.linalg.svd(w.reshape(-1, w.shape[-1]), compute_uv=False)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 3, 2, 4)])
@pytest.mark.parametrize(
    "scale", [0.1, 0.5, 2.0]
)  # below 1 the smallest singular value is the worst, above the largest
def test_penalty_is_the_worst_change_of_a_squared_length(rng, shape, scale):
    w = rng.normal(size=shape) * scale
    wanted = 0.3 * np.abs(singular_values(w) ** 2 - 1).max()
    assert cost(SRIP(0.3, iterations=30), w) == pytest.approx(wanted, rel=0.03)
    assert 0.5 * wanted < cost(SRIP(0.3, iterations=2), w) <= wanted * (1 + 1e-5)


def test_gradient_is_that_of_the_worst_singular_value(rng):
    u, _, v = np.linalg.svd(rng.normal(size=(5, 3)), full_matrices=False)
    s = np.array([2.0, 1.2, 0.8])
    w = ((u * s) @ v).astype("float32")
    got = slope(SRIP(0.1, iterations=20), w)  # d(s² − 1) = 2 s u vᵀ
    np.testing.assert_allclose(got, 0.1 * 2 * s[0] * np.outer(u[:, 0], v[0]), atol=1e-5)


def test_orthonormal_kernels_cost_nothing_and_stay(rng):
    q = np.linalg.qr(rng.normal(size=(5, 3)))[0].astype("float32")
    assert cost(SRIP(1.0), q) == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(slope(SRIP(1.0), np.eye(4, 3, dtype="float32")), np.zeros((4, 3)))


@pytest.mark.parametrize("iterations", [0, 1.5, True])
def test_no_iterations_raise(iterations):
    with pytest.raises(ValueError, match="iterations must be an integer >= 1"):
        SRIP(0.1, iterations)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        SRIP(strength)
