"""The spectral norm penalty against numpy.linalg."""

import numpy as np
import pytest
from keras import ops

from keras_arch.regularizers import SpectralNormPenalty
from keras_arch.testing.check_regularizer import slope

pytestmark = pytest.mark.backend


def cost(penalty, w):
    return float(ops.convert_to_numpy(penalty(ops.convert_to_tensor(w, dtype="float32"))))


def singular_values(w):
    return np.linalg.svd(w.reshape(-1, w.shape[-1]), compute_uv=False)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 3, 2, 4)])
def test_penalty_is_half_the_largest_square(rng, shape):
    w = rng.normal(size=shape)
    wanted = 0.3 / 2 * singular_values(w)[0] ** 2
    assert cost(SpectralNormPenalty(0.3, iterations=30), w) == pytest.approx(wanted, rel=1e-3)
    assert 0.5 * wanted < cost(SpectralNormPenalty(0.3, iterations=1), w) <= wanted * (1 + 1e-5)


def test_gradient_is_the_papers(rng):
    u, _, v = np.linalg.svd(rng.normal(size=(5, 3)), full_matrices=False)
    s = np.array([2.0, 1.0, 0.5])
    w = ((u * s) @ v).astype("float32")
    got = slope(SpectralNormPenalty(0.1, iterations=15), w)
    np.testing.assert_allclose(got, 0.1 * s[0] * np.outer(u[:, 0], v[0]), atol=1e-5)


def test_columns_that_sum_to_zero_are_seen():
    assert cost(SpectralNormPenalty(1.0), np.array([[2.0, -2.0]]).T) == pytest.approx(4.0, rel=1e-5)
    assert cost(SpectralNormPenalty(1.0), np.array([[2.0, -2.0], [-2.0, 2.0]])) == pytest.approx(8.0, rel=1e-5)


@pytest.mark.parametrize("iterations", [0, 1.5, True])
def test_no_iterations_raise(iterations):
    with pytest.raises(ValueError, match="iterations must be an integer >= 1"):
        SpectralNormPenalty(0.1, iterations)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        SpectralNormPenalty(strength)
