"""A layer that reads other values than its own, and keeps its own."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.core.lending import call_with_values

pytestmark = pytest.mark.backend


def test_the_call_reads_the_lent_values_and_the_variable_keeps_its_own(rng):
    dense = keras.layers.Dense(2, kernel_initializer="ones", bias_initializer="ones")
    dense.build((None, 3))
    x, kernel = rng.standard_normal((4, 3)).astype("float32"), rng.standard_normal((3, 2)).astype("float32")
    got, losses = call_with_values(dense, [(dense.kernel, ops.convert_to_tensor(kernel))], x)
    np.testing.assert_allclose(ops.convert_to_numpy(got), x @ kernel + 1, rtol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(dense.kernel), np.ones((3, 2)))
    assert losses == []


def test_statistics_that_the_call_moves_stay_moved():
    norm = keras.layers.BatchNormalization(momentum=0.5)
    norm.build((None, 1))
    call_with_values(norm, [(norm.gamma, ops.full((1,), 2.0))], np.array([[1.0], [3.0]], "float32"), training=True)
    np.testing.assert_allclose(ops.convert_to_numpy(norm.moving_mean), [1.0], rtol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(norm.gamma), [1.0])


def test_losses_of_the_call_are_handed_over():
    dense = keras.layers.Dense(2, activity_regularizer=keras.regularizers.L1(1.0), use_bias=False)
    dense.build((None, 1))
    _, losses = call_with_values(dense, [(dense.kernel, ops.full((1, 2), 3.0))], np.ones((1, 1), "float32"))
    np.testing.assert_allclose([float(ops.convert_to_numpy(loss)) for loss in losses], [6.0])


def test_values_lent_outside_are_seen_inside():
    dense = keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="zeros")
    dense.build((None, 1))
    outer = [(dense.kernel, ops.full((1, 1), 5.0)), (dense.bias, ops.full((1,), 7.0))]
    with keras.StatelessScope(state_mapping=outer):
        got, _ = call_with_values(dense, [(dense.kernel, ops.full((1, 1), 2.0))], np.ones((1, 1), "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(got), [[9.0]])


def test_a_variable_given_as_an_argument_has_the_value_lent_outside():
    triple = keras.layers.Rescaling(3.0)
    x = keras.Variable(np.ones((1, 1), "float32"))
    with keras.StatelessScope(state_mapping=[(x, ops.full((1, 1), 2.0))]):
        got, _ = call_with_values(triple, [], x)
        got = ops.convert_to_numpy(got)
    np.testing.assert_allclose(got, [[6.0]])
