"""How a model is differentiated by PyTorch's autograd. It runs eagerly."""

from collections.abc import Callable
from typing import Any

import keras

from keras_arch.core.check import refuse
from keras_arch.explain.backend.activations import following

__all__ = ["following"]


def tensor(array: Any) -> Any:
    """Put an array onto the device."""
    return keras.ops.convert_to_tensor(array)


def array(tensor: Any) -> Any:
    """Take a tensor from the device, as a NumPy array of its own memory."""
    return tensor.detach().cpu().numpy()


def is_tensor(thing: Any) -> bool:
    """Whether something is a tensor."""
    return keras.ops.is_tensor(thing)


def trace() -> str:
    """One and the same: nothing is traced."""
    return "eager"


def belongs(thing: Any, trace: Any) -> bool:
    """Whether something is a tensor."""
    return is_tensor(thing)


def differentiate(run: Callable[[Callable], tuple[Any, Any]]) -> tuple[list, Any]:
    """See `keras_arch.explain.engine.differentiate`."""
    import torch

    watched = []

    def watch(point: Any) -> Any:
        watched.append(point if point.requires_grad else point.detach().requires_grad_())
        return watched[-1]

    with torch.enable_grad():
        scores, rest = run(watch)
        total = scores.sum()
    if not total.requires_grad:
        return [None] * len(watched), rest
    return list(torch.autograd.grad(total, watched, allow_unused=True)), rest


def identities(model: keras.Model) -> list:
    """Nothing is compiled that could hold the weights of another time."""
    return []


def replicas(model: keras.Model) -> int:
    """One."""
    return 1


def compiled(work: Callable, model: keras.Model, batched: tuple, shared: tuple, jit_compile: bool) -> Callable:
    """The work itself, without gradients to weights."""
    import torch

    if jit_compile:
        raise refuse("jit_compile", "must be False on PyTorch, which has no XLA here", True, "Leave it out.")

    def run(batched: tuple, shared: tuple) -> Any:
        with torch.no_grad():
            return work(batched, shared)

    return run
