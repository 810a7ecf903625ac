"""Gradients of scalar functions on every backend, against derivatives by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_arch.ops.gradients import gradients

pytestmark = pytest.mark.backend


def test_the_gradient_of_a_cubic_form_is_that_on_paper(rng):
    a, b = rng.normal(size=(3, 4)).astype("float32"), rng.normal(size=4).astype("float32")
    points = [ops.convert_to_tensor(a), ops.convert_to_tensor(b)]
    got = gradients(lambda p: ops.sum(p[0] ** 3 * p[1]), points)
    for found, wanted in zip(got, (3 * a**2 * b, (a**3).sum(0)), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(found), wanted, rtol=1e-5)


@pytest.mark.parametrize("trainable", [True, False])
def test_what_the_scalar_does_not_depend_on_has_zeros(trainable):
    used, unused = (keras.Variable(np.ones(n, "float32"), trainable=trainable) for n in (2, 3))
    got = gradients(lambda p: ops.sum(p[0]), [used.value, unused.value])
    assert [ops.convert_to_numpy(found).tolist() for found in got] == [[1.0, 1.0], [0.0, 0.0, 0.0]]
    constant = gradients(lambda p: ops.convert_to_tensor(1.0), [used.value])
    assert ops.convert_to_numpy(constant[0]).tolist() == [0.0, 0.0]


def test_rows_that_are_looked_up_have_dense_gradients():
    table = ops.convert_to_tensor(np.zeros((4, 2), "float32"))
    got = gradients(lambda p: ops.sum(ops.take(p[0], np.array([1, 1, 3]), axis=0)), [table])
    assert ops.convert_to_numpy(got[0]).tolist() == [[0, 0], [2, 2], [0, 0], [1, 1]]
