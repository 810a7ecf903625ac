"""What is PyTorch's own about gradients: modules that read their parameters themselves, and what autograd writes."""

import keras
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("PyTorch's own kernels", allow_module_level=True)

import torch

from keras_arch.ops.backend.torch.gradients import gradients

pytestmark = pytest.mark.backend


def test_a_parameter_that_is_read_elsewhere_is_seen_and_nothing_is_written():
    module = torch.nn.Linear(2, 1, bias=False)
    (found,) = gradients(lambda points: module(torch.tensor([[2.0, 3.0]])).sum(), [module.weight])
    assert found.tolist() == [[2.0, 3.0]]
    assert module.weight.grad is None


def test_gradients_are_taken_where_they_are_switched_off():
    with torch.no_grad():
        (found,) = gradients(lambda points: points[0] ** 2, [torch.tensor(3.0)])
    assert found.item() == 6.0
    assert not found.requires_grad
