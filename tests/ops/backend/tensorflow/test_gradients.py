"""What is TensorFlow's own about gradients: slices become dense, and no gradient is None."""

import keras
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)

import tensorflow as tf

from keras_arch.ops.backend.tensorflow.gradients import gradients


def test_slices_become_dense_and_no_gradient_is_none():
    table, other = tf.Variable(tf.zeros((3, 1))), tf.constant(1.0)
    found, nothing = gradients(lambda points: tf.reduce_sum(tf.gather(points[0], [2, 2])), [table, other])
    assert found.numpy().tolist() == [[0.0], [0.0], [2.0]]
    assert nothing is None
