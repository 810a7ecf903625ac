"""The hand-written gradient of layer normalization: first and second derivatives against TensorFlow's own."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)

import tensorflow as tf

from keras_arch.ops.backend.tensorflow.layer_norm import scaled
from keras_arch.ops.layer_norm import standardize


def plain(x, gamma, epsilon):
    return standardize(x, epsilon) * gamma


def derivatives(function, x, gamma, slope):
    """The value, the first derivatives of a nonlinear scalar of it, and second ones along a direction of both."""
    with tf.GradientTape() as outer:
        outer.watch([x, gamma])
        with tf.GradientTape() as inner:
            inner.watch([x, gamma])
            y = function(x, gamma, 0.1)
            loss = tf.reduce_sum(slope * tf.sin(y))
        first = inner.gradient(loss, [x, gamma])
        along = tf.reduce_sum(tf.cos(x) * first[0]) + tf.reduce_sum(tf.cos(gamma) * first[1])
    return [y, *first, *outer.gradient(along, [x, gamma])]


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6)])
@pytest.mark.parametrize("compiled", [False, True])
def test_first_and_second_derivatives_are_those_of_the_formula(rng, shape, compiled):
    tensors = [tf.constant(rng.normal(size=s)) for s in (shape, shape[-1:], shape)]  # float64
    run = tf.function(derivatives) if compiled else derivatives
    for got, expected in zip(run(scaled, *tensors), derivatives(plain, *tensors), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_second_derivatives_are_right_in_a_loop(rng):
    x, gamma, slope = (tf.constant(rng.normal(size=s)) for s in ((3, 4), (4,), (3, 4)))

    def repeated(function):
        def run(x, gamma, epsilon):
            return tf.while_loop(lambda i, _: i < 3, lambda i, v: (i + 1, function(v, gamma, epsilon)), (0, x))[1]

        return tf.function(lambda: derivatives(run, x, gamma, slope))()

    for got, expected in zip(repeated(scaled), repeated(plain), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
