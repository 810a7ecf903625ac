"""Calls of ReLU are found, Keras's own included."""

import threading

import keras
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("JAX's own kernels", allow_module_level=True)

import jax

from keras_arch.ops.rectifier import plain_rectifiers

pytestmark = pytest.mark.backend


def test_calls_are_named_and_nothing_stays():
    x = jax.numpy.ones(2)
    with plain_rectifiers() as found:
        jax.nn.relu6(jax.nn.relu(x))
        keras.ops.maximum(x, 0)
    assert found == ["jax.nn.relu", "jax.nn.relu6"]
    with plain_rectifiers() as found:
        keras.activations.relu(x)
        keras.ops.relu6(x)
    assert len(found) == 2
    jax.nn.relu6(jax.nn.relu(x))
    assert len(found) == 2


def test_other_threads_are_not_listened_to():
    with plain_rectifiers() as found:
        thread = threading.Thread(target=lambda: keras.ops.relu(jax.numpy.ones(2)))
        thread.start()
        thread.join()
    assert found == []


def test_the_functions_come_back_after_an_error():
    with pytest.raises(KeyError), plain_rectifiers():
        raise KeyError
    with plain_rectifiers() as found:
        keras.ops.relu(jax.numpy.ones(2))
    assert len(found) == 1
