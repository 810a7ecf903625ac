"""Hoyer-square against NumPy and its own invariances."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.regularizers import Hoyer

pytestmark = pytest.mark.backend


def cost(penalty, w):
    return float(ops.convert_to_numpy(penalty(ops.convert_to_tensor(w, dtype="float32"))))


def hoyer_square(norms):
    norms = np.abs(np.asarray(norms, "float64")).ravel()
    return norms.sum() ** 2 / (norms**2).sum()


@pytest.mark.parametrize("shape", [(5,), (6, 4), (3, 3, 2, 4)])
def test_penalty_of_entries_is_that_of_numpy(rng, shape):
    w = rng.normal(size=shape)
    assert cost(Hoyer(0.3), w) == pytest.approx(0.3 * hoyer_square(w), rel=1e-5)


@pytest.mark.parametrize(("groups", "others"), [("filter", (0, 1, 2)), ("input", (0, 1, 3)), ((0, 1), (2, 3))])
def test_penalty_of_groups_is_that_of_their_norms(rng, groups, others):
    w = rng.normal(size=(3, 3, 2, 4))
    assert cost(Hoyer(0.3, groups), w) == pytest.approx(0.3 * hoyer_square(np.sqrt((w**2).sum(axis=others))), rel=1e-5)


def test_it_counts_equal_entries_at_any_scale():
    for count in (1, 3, 6):
        for scale in (1e-6, 1.0, 1e6):
            assert cost(Hoyer(1.0), scale * (np.arange(6) < count)) == pytest.approx(count, rel=1e-5)


def test_a_step_shrinks_small_entries_and_grows_large_ones():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_regularizer=Hoyer(0.1))])
    model.compile(keras.optimizers.SGD(1.0), lambda y, p: ops.sum(p, axis=-1) * 0)
    model.layers[0].set_weights([np.array([[3.0], [0.5]], "float32"), np.zeros(1, "float32")])
    model.train_on_batch(np.ones((1, 2), "float32"), np.zeros((1, 1), "float32"))
    large, small = model.layers[0].get_weights()[0][:, 0]
    total, squares = 3.5, 9.25  # d/dw of total² / squares = 2 total / squares · (1 − w · total / squares)
    assert large == pytest.approx(3 - 0.1 * 2 * total / squares * (1 - 3 * total / squares), rel=1e-5)
    assert small == pytest.approx(0.5 - 0.1 * 2 * total / squares * (1 - 0.5 * total / squares), rel=1e-5)
    assert large > 3
    assert small < 0.5


def test_groups_survive_a_config():
    for groups in (None, "filter", (0, -1)):
        assert Hoyer.from_config(Hoyer(0.1, groups).get_config()).groups == groups
    with pytest.raises(ValueError, match="groups must"):
        Hoyer(0.1, "units")


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "0.1"])
def test_a_strength_that_is_no_penalty_raises(strength):
    with pytest.raises(ValueError, match="strength must be a number in"):
        Hoyer(strength)
