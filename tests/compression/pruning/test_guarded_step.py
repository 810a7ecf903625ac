"""The training step that holds zeros only in steps that were announced."""

import keras
import numpy as np
import pytest
from keras import layers
from oracles.pruning import zeros

from keras_arch.compression import ConstantSchedule, Pruner
from keras_arch.compression.pruning.guarded_step import GuardedStep

pytestmark = pytest.mark.backend


@pytest.fixture
def model():
    network = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
    network.compile(keras.optimizers.SGD(0.1), "mse")
    return network


def train(model):
    model.train_on_batch(np.ones((3, 6), "float32"), np.ones((3, 4), "float32"))


def test_announced_steps_hold_zeros_and_the_next_one_gives_the_model_back(model):
    train(model)  # a stock step that is traced already
    pruner = Pruner(model, ConstantSchedule(0.5))
    pruner.update(0)
    guard = GuardedStep(model, pruner)
    for _ in range(2):
        guard.arm()
        train(model)
        assert zeros(model.layers[0].kernel.numpy()) == 12
    assert model.train_function is guard
    train(model)
    assert zeros(model.layers[0].kernel.numpy()) == 0
    assert not isinstance(model.train_function, GuardedStep)
    assert "train_step" not in vars(model)
    assert "apply" not in vars(model.optimizer)


def test_a_training_step_that_somebody_rebuilt_is_held_too(model):
    train(model)
    pruner = Pruner(model, ConstantSchedule(0.5))
    pruner.update(0)
    guard = GuardedStep(model, pruner)
    guard.arm()
    train(model)
    model.make_train_function(force=True)
    guard.arm()
    train(model)
    assert zeros(model.layers[0].kernel.numpy()) == 12


def test_a_training_step_of_the_users_instance_is_given_back(model):
    stock = model.train_step

    def theirs(*data):
        return stock(*data)

    vars(model)["train_step"] = theirs
    GuardedStep(model, Pruner(model, ConstantSchedule(0.5)))
    assert vars(model)["train_step"] is theirs
