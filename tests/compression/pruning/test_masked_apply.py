"""The optimizer inside a `with` block, and after it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.compression.pruning.masked_apply import holding_zeros, innermost

pytestmark = pytest.mark.backend


def step(optimizer, variable):
    optimizer.apply([ops.ones(variable.shape)], [variable])


def test_zeros_stay_and_the_rest_moves_as_without():
    held, free = keras.Variable([0.0, 2.0, -1.0]), keras.Variable([0.0, 2.0, -1.0])
    adam, other = keras.optimizers.Adam(0.1), keras.optimizers.Adam(0.1)
    with holding_zeros(adam, [held]) as steps:
        assert not steps.seen
        for _ in range(3):
            step(adam, held)
        assert steps.seen
    for _ in range(3):
        step(other, free)
    np.testing.assert_array_equal(held.numpy(), free.numpy() * [0, 1, 1])


def test_the_optimizer_is_given_back_also_by_an_exception():
    sgd, variable = keras.optimizers.SGD(1.0), keras.Variable([0.0])
    with pytest.raises(KeyboardInterrupt), holding_zeros(sgd, [variable]):
        raise KeyboardInterrupt
    assert "apply" not in vars(sgd)
    step(sgd, variable)
    assert variable.numpy()[0] == -1.0


def test_somebody_elses_method_is_given_back():
    sgd, calls = keras.optimizers.SGD(1.0), []
    stock = sgd.apply

    def theirs(grads, trainable_variables=None):
        calls.append(1)
        stock(grads, trainable_variables)

    vars(sgd)["apply"] = theirs
    one, two = keras.Variable([0.0]), keras.Variable([0.0])
    with holding_zeros(sgd, [one]), holding_zeros(sgd, [two]):
        sgd.apply([ops.ones(1), ops.ones(1)], [one, two])
    assert (one.numpy()[0], two.numpy()[0], calls) == (0.0, 0.0, [1])
    assert vars(sgd)["apply"] is theirs


def test_moving_averages_are_held_at_zero_each_by_its_own_mask():
    variable = keras.Variable([0.0, 2.0], name="kernel")
    twin = keras.Variable([5.0, 0.0], name="kernel")
    sgd = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    with holding_zeros(sgd, [variable, twin]):
        for _ in range(2):
            sgd.apply([ops.ones(2), ops.ones(2)], [variable, twin])
    sgd.finalize_variable_values([variable, twin])
    np.testing.assert_allclose(variable.numpy(), [0.0, 1.25])
    np.testing.assert_allclose(twin.numpy(), [4.25, 0.0])


def test_the_inner_optimizer_of_loss_scaling_is_the_one_that_is_held():
    inner = keras.optimizers.SGD(1.0)
    outer = keras.optimizers.LossScaleOptimizer(inner)
    assert innermost(outer) is inner
    with holding_zeros(outer, [keras.Variable([0.0])]):
        assert "apply" in vars(inner)
        assert "apply" not in vars(outer)


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(ValueError, match="must be a Keras optimizer; received optimizer=None"), holding_zeros(None, []):
        pass
