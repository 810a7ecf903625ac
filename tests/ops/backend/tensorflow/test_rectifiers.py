"""ReLU operations are found in the graph, in its loops and in functions it calls."""

import tensorflow as tf

from keras_arch.ops.rectifier import plain_rectifiers


def listed(work):
    names = []

    @tf.function(autograph=False)
    def traced(x):
        with plain_rectifiers() as found:
            y = work(x)
        names.extend(found)
        return y

    traced.get_concrete_function(tf.TensorSpec((2,)))
    return names


def test_operations_of_the_graph_are_named():
    with_scope = listed(lambda x: tf.nn.relu6(tf.nn.relu(x), name="upper"))
    assert with_scope == ["Relu", "upper"]
    assert listed(lambda x: tf.maximum(x, 0.0)) == []


def test_loops_and_inner_functions_are_searched():
    loop = listed(lambda x: tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.nn.relu(y)), (0, x))[1])
    assert len(loop) == 1
    inner = tf.function(lambda x: tf.nn.relu(x) + 1)
    assert len(listed(inner)) == 1


def test_what_ran_before_the_block_does_not_count():
    @tf.function(autograph=False)
    def traced(x):
        x = tf.nn.relu(x)
        with plain_rectifiers() as found:
            x = tf.exp(x)
        assert found == []
        return x

    traced.get_concrete_function(tf.TensorSpec((2,)))
