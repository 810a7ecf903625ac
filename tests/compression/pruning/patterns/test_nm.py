"""N of M against a loop over groups, and in a model."""

import keras
import numpy as np
import pytest

from keras_arch.compression import ConstantSchedule, PolynomialSchedule, Pruner, prune
from keras_arch.compression.pruning.patterns import NM


@pytest.mark.parametrize("shape", [(8, 5), (3, 2, 4, 6)])
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 2)])
def test_the_n_highest_of_each_group_can_not_go(rng, shape, n, m):
    scores = rng.random(shape)
    units = NM(n, m).units(scores)
    groups, ranked = (x.reshape(-1, m, shape[-1]) for x in (scores, units))
    for group in np.ndindex(groups.shape[0], shape[-1]):
        column, got = groups[group[0], :, group[1]], ranked[group[0], :, group[1]]
        for place in range(m):
            higher = int((column > column[place]).sum())
            assert got[place] == (np.inf if higher < n else column[place])


def test_equal_scores_leave_n():
    assert np.isinf(NM(2, 4).units(np.ones((8, 3)))).reshape(2, 4, 3).sum(axis=1).tolist() == [[2, 2, 2]] * 2


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_at_its_limit_every_group_is_full_and_before_it_no_group_is_over(scope):
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(8), keras.layers.Dense(4)])
    pruner = Pruner(model, PolynomialSchedule(0.0, 0.5, 0, 4, every=1), pattern=NM(2, 4), scope=scope)
    for step in range(5):
        pruner.update(step)
        kernels = [layer.kernel.numpy() for layer in model.layers]
        left = [(kernel != 0).reshape(-1, 4, kernel.shape[-1]).sum(axis=1) for kernel in kernels]
        assert all((counts >= 2).all() for counts in left)
    assert all((counts == 2).all() for counts in left)
    assert pruner.report().sparsity == 0.5


def test_more_than_the_pattern_can_is_refused_before_anything_changes():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"sparsity must be at most the pattern's 0.5; received sparsity=0.75"):
        Pruner(model, ConstantSchedule(0.75), pattern="nm")
    with pytest.raises(ValueError, match=r"sparsity must be at most the pattern's 0.75"):
        prune(model, 0.8, pattern=NM(1, 4))
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_a_schedule_that_hides_its_end_is_refused_when_it_goes_too_far():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    pruner = Pruner(model, lambda step: (step == 1, 0.75), pattern="nm")
    pruner.foreseeing()
    pruner.foresee(0, 0)
    before = model.get_weights()
    for ask in (lambda: pruner.foresee(0, 2), lambda: pruner.update(2)):
        with pytest.raises(ValueError, match=r"sparsity must be at most the pattern's 0.5; received sparsity=0.75"):
            ask()
        np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_a_weight_that_m_does_not_divide_is_named():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, name="head")])
    with pytest.raises(ValueError, match=r"pattern does not fit head/kernel: m must divide the input features.* m=4"):
        prune(model, 0.5, pattern="nm")


@pytest.mark.parametrize(("settings", "message"), [((4, 4), "n must be an integer"), ((1, 1), "m must be an integer")])
def test_numbers_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        NM(*settings)
