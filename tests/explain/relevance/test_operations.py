"""Operations of a traced graph that have no rule."""

import keras
import pytest

from keras_arch.explain.relevance.operations import without_a_rule


def found(function):
    tf = pytest.importorskip("tensorflow")
    wrong = []

    @tf.function
    def traced(x):
        try:
            without_a_rule(function(tf, x), x)
        except ValueError as error:
            wrong.append(str(error))
        return x

    traced(tf.ones((2, 3)))
    return wrong[0] if wrong else ""


def test_linear_and_homogeneous_operations_pass():
    assert not found(lambda tf, x: tf.nn.relu(tf.reshape(3.0 * x - 1.0, (3, 2))) @ tf.ones((2, 4)))
    assert not found(lambda tf, x: x / 2.0 + tf.reduce_max(x, keepdims=True) + tf.stop_gradient(tf.exp(x)))
    assert not found(lambda tf, x: tf.concat([x, tf.exp(tf.ones((2, 3)))], 0))


def test_others_are_named():
    assert "(Tanh)" in found(lambda tf, x: tf.tanh(x) + x)
    assert "(Mul)" in found(lambda tf, x: x * tf.nn.relu(x))
    assert "(RealDiv)" in found(lambda tf, x: 2.0 / x)
    assert "While)" in found(lambda tf, x: tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y + x), (0, x))[1])


@pytest.mark.parametrize("inside", ["softmax", "gelu"])
def test_activations_of_keras_are_named_too(inside):
    assert "have none" in found(lambda tf, x: keras.activations.get(inside)(x))
