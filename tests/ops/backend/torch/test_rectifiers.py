"""Calls of ReLU are found, Keras's own included."""

import threading

import keras
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("PyTorch's own kernels", allow_module_level=True)

import torch

from keras_arch.ops.rectifier import plain_rectifiers

pytestmark = pytest.mark.backend


def test_calls_are_named_and_nothing_stays():
    x = torch.ones(2)
    with plain_rectifiers() as found:
        torch.nn.functional.relu6(torch.relu(x))
        keras.ops.maximum(x, 0)
    assert found == ["torch relu", "torch relu6"]
    with plain_rectifiers() as found:
        keras.activations.relu(x)
        keras.ops.relu6(x)
    assert len(found) == 2
    torch.nn.functional.relu6(torch.relu(x))
    assert len(found) == 2


def test_other_threads_are_not_listened_to():
    with plain_rectifiers() as found:
        thread = threading.Thread(target=lambda: keras.ops.relu(torch.ones(2)))
        thread.start()
        thread.join()
    assert found == []


def test_the_functions_come_back_after_an_error():
    with pytest.raises(KeyError), plain_rectifiers():
        raise KeyError
    with plain_rectifiers() as found:
        keras.ops.relu(torch.ones(2))
    assert len(found) == 1
