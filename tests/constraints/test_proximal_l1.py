"""The lasso's proximal step: in training, against scikit-learn."""

import numpy as np
import pytest
from keras import ops

from keras_arch.constraints import ProximalL1

pytestmark = pytest.mark.backend


def test_sgd_with_it_finds_the_lasso_solution_of_scikit_learn(rng, regression_by_sgd):
    linear_model = pytest.importorskip("sklearn.linear_model", reason="needs the extra keras-arch[demo]")
    x = rng.normal(size=(40, 8))
    y = x @ np.array([2.0, 0, 0, -1, 0, 0, 0.5, 0.02]) + 0.1 * rng.normal(size=40)
    # Keras: mean of squares + strength · |w|; scikit-learn: half of both.
    wanted = linear_model.Lasso(alpha=0.1, fit_intercept=False, tol=1e-10).fit(x, y).coef_
    got = regression_by_sgd(x, y[:, None], 0.1, 300, kernel_constraint=ProximalL1(0.2, 0.1))[:, 0]
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    np.testing.assert_array_equal(got == 0, wanted == 0)
    assert 0 < (got == 0).sum() < 8


def test_biases_can_be_thinned_too():
    got = ops.convert_to_numpy(ProximalL1(1.0, 0.1)(ops.convert_to_tensor([0.3, -0.05, 0.0])))
    np.testing.assert_allclose(got, [0.2, 0.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        ProximalL1(strength)
