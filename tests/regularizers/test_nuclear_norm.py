"""The nuclear norm against numpy.linalg, and its gradient against torch."""

import numpy as np
import pytest
from keras import ops

from keras_arch.regularizers import NuclearNorm
from keras_arch.testing.check_regularizer import slope

pytestmark = pytest.mark.backend


def cost(penalty, w):
    return float(ops.convert_to_numpy(penalty(ops.convert_to_tensor(w, dtype="float32"))))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 3, 2, 4)])
def test_penalty_is_the_sum_of_singular_values(rng, shape):
    w = rng.normal(size=shape)
    wanted = 0.3 * np.linalg.norm(w.reshape(-1, shape[-1]), "nuc")
    assert cost(NuclearNorm(0.3), w) == pytest.approx(wanted, rel=1e-5)


def test_gradient_of_equal_singular_values_is_the_matrix_itself():
    for w in (np.eye(3, dtype="float32"), np.eye(4, 2, dtype="float32")):
        np.testing.assert_allclose(slope(NuclearNorm(0.1), 5 * w), 0.1 * w, atol=1e-6)


def test_gradient_at_a_weight_of_lower_rank_is_the_smallest_subgradient(rng):
    w = np.outer(rng.normal(size=4), rng.normal(size=3)).astype("float32")
    np.testing.assert_allclose(slope(NuclearNorm(0.1), w), 0.1 * w / np.linalg.norm(w), atol=1e-6)
    np.testing.assert_array_equal(slope(NuclearNorm(0.1), np.zeros((4, 3), "float32")), np.zeros((4, 3)))


@pytest.mark.oracle
def test_gradient_is_torchs(rng):
    torch = pytest.importorskip("torch", reason="needs the extra keras-arch[oracles]")
    w = rng.normal(size=(2, 2, 2, 4)).astype("float32")
    tensor = torch.tensor(w, requires_grad=True)
    torch.linalg.matrix_norm(tensor.reshape(-1, 4), "nuc").backward()
    np.testing.assert_allclose(slope(NuclearNorm(0.1), w), 0.1 * tensor.grad.numpy(), atol=1e-6)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        NuclearNorm(strength)
