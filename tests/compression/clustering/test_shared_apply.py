"""The optimizer inside a `with` block: clusters move as one, by the closed form."""

import keras
import numpy as np
import pytest
from keras import ops
from oracles.clustering import distinct, joined

from keras_arch.compression import ConstantSchedule, Pruner
from keras_arch.compression.clustering.shared_apply import SharedWeight, sharing_weights

pytestmark = pytest.mark.backend
INDEX = np.array([[0, 1, 1], [2, 0, 1]], "uint8")
START = np.array([-1.0, 0.5, 2.0], "float32")[INDEX]
GRADIENT = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32")


def one_step(optimizer, start=START, mean=False, zeros=False, gradient=GRADIENT):
    variable = keras.Variable(start)
    with sharing_weights(optimizer, [SharedWeight(variable, INDEX, 3, zeros)], mean):
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
    return variable.numpy()


@pytest.mark.parametrize("mean", [False, True])
def test_sgd_moves_each_value_by_the_joined_gradient(mean):
    got = one_step(keras.optimizers.SGD(0.1), mean=mean)
    sums, counts = np.array([6.0, 11.0, 4.0]), np.array([2, 3, 1])
    expected = np.array([-1.0, 0.5, 2.0]) - 0.1 * (sums / counts if mean else sums)
    np.testing.assert_allclose(got, expected[INDEX], rtol=1e-6)


def test_to_adam_sum_and_mean_are_the_same():
    sum_, mean = (one_step(keras.optimizers.Adam(0.1), mean=mean) for mean in (False, True))
    np.testing.assert_allclose(sum_, mean, atol=1e-6)
    np.testing.assert_allclose(START - sum_, 0.1, atol=1e-6)


def test_moments_from_before_do_not_take_clusters_apart():
    adam, variable = keras.optimizers.Adam(0.1), keras.Variable(START)
    adam.apply([ops.convert_to_tensor(GRADIENT * [1, -9, 3])], [variable])
    variable.assign(START)
    with sharing_weights(adam, [SharedWeight(variable, INDEX, 3)]):
        adam.apply([ops.ones((2, 3))], [variable])
    assert distinct(variable.numpy()) == 3


class Turning(keras.optimizers.SGD):
    """Looks at the whole matrix: each number moves by its neighbour's gradient."""

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, ops.roll(gradient, 1, axis=1) * ops.cast(learning_rate, variable.dtype))


def test_an_update_of_the_whole_matrix_is_joined():
    moved = START - 0.1 * np.roll(joined(GRADIENT, INDEX), 1, axis=1)
    np.testing.assert_allclose(one_step(Turning(0.1)), joined(moved, INDEX, mean=True), rtol=1e-5)


def test_zeros_stay_zeros_and_take_no_part():
    start = np.array([0.0, 0.5, 2.0], "float32")[INDEX]
    start[1, 2] = 0.0  # somebody else pruned a member of another cluster
    got = one_step(keras.optimizers.SGD(0.1), start, zeros=True)
    expected = np.array([[0.0, 0.5 - 0.1 * 5, 0.5 - 0.1 * 5], [2.0 - 0.4, 0.0, 0.0]])
    np.testing.assert_allclose(got, expected, atol=1e-7)
    assert (got[start == 0] == 0).all()


def test_moving_averages_are_clustered():
    sgd, variable = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), keras.Variable(START)
    with sharing_weights(sgd, [SharedWeight(variable, INDEX, 3)]):
        for scale in (1.0, 2.0):
            sgd.apply([ops.convert_to_tensor(scale * GRADIENT)], [variable])
            sgd._model_variables_moving_average[0].assign_add(GRADIENT / 100)  # as if it held single weights before
        sgd.apply([ops.convert_to_tensor(GRADIENT)], [variable])
    sgd.finalize_variable_values([variable])
    assert distinct(variable.numpy()) == 3


@pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")
def test_weights_without_a_gradient_and_weights_of_others_are_left():
    sgd, shared, other = keras.optimizers.SGD(0.1), keras.Variable(START), keras.Variable([1.0])
    frozen = keras.Variable(START)
    with sharing_weights(sgd, [SharedWeight(shared, INDEX, 3), SharedWeight(frozen, INDEX, 3)]) as steps:
        assert not steps.seen
        sgd.build([shared, other])
        sgd.apply([None, ops.ones(1)], [shared, other])
        assert steps.seen
    np.testing.assert_array_equal(shared.numpy(), START)
    np.testing.assert_array_equal(frozen.numpy(), START)
    np.testing.assert_allclose(other.numpy(), [0.9])


def test_the_optimizer_is_given_back_also_by_an_exception():
    sgd, variable = keras.optimizers.SGD(1.0), keras.Variable(START)
    with pytest.raises(KeyboardInterrupt), sharing_weights(sgd, [SharedWeight(variable, INDEX, 3)]):
        raise KeyboardInterrupt
    assert "apply" not in vars(sgd)
    sgd.apply([ops.convert_to_tensor(GRADIENT)], [variable])
    np.testing.assert_allclose(variable.numpy(), START - GRADIENT)


def test_the_block_inside_another_that_holds_zeros_gives_both_back():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, use_bias=False)])
    sgd, kernel = keras.optimizers.SGD(0.1), model.layers[0].kernel
    pruner = Pruner(model, ConstantSchedule(0.5))
    pruner.update(0)
    with pruner.hold(sgd), sharing_weights(sgd, [SharedWeight(kernel, INDEX, 3, keeps_zeros=True)]):
        sgd.apply([ops.convert_to_tensor(GRADIENT)], [kernel])
    assert (kernel.numpy() == 0).sum() == 3
    assert "apply" not in vars(sgd)


def test_what_is_no_optimizer_is_refused():
    with (
        pytest.raises(ValueError, match="must be a Keras optimizer; received optimizer=None"),
        sharing_weights(None, []),
    ):
        pass
