"""Lots: uniform, drawn once, and what is gone stays gone."""

import keras
import numpy as np
import pytest

from keras_arch.compression import PolynomialSchedule, Pruner
from keras_arch.compression.pruning.criteria import Random

pytestmark = pytest.mark.backend


def test_lots_are_uniform_and_depend_on_seed_and_path_alone():
    one, other = (keras.Variable(np.zeros((100, 100), "float32"), name=name) for name in ("one", "other"))
    lots = Random(1)(one)
    assert (lots.shape, lots.dtype) == ((100, 100), np.dtype("float32"))
    assert 0 <= lots.min() < 0.001 < 0.999 < lots.max() < 1
    assert abs(lots.mean() - 0.5) < 4 * 12**-0.5 / 100  # four standard errors
    one.assign(np.ones((100, 100)))
    np.testing.assert_array_equal(lots, Random(1)(one))
    for different in (Random(1)(other), Random(2)(one)):
        assert abs(np.corrcoef(lots.ravel(), different.ravel())[0, 1]) < 0.04


def test_what_is_gone_stays_gone():
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(8)])
    pruner = Pruner(model, PolynomialSchedule(0.0, 0.75, 0, 5, every=1), criterion="random")
    gone = np.zeros((16, 8), bool)
    for step in range(6):
        pruner.update(step)
        now = np.asarray(keras.ops.convert_to_numpy(model.layers[0].kernel)) == 0
        assert now[gone].all()
        gone = now
    assert gone.sum() == 96


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_the_seed_is_checked(seed):
    with pytest.raises(ValueError, match="seed must be an integer >= 0"):
        Random(seed)
