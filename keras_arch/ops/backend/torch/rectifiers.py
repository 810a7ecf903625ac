"""Calls of PyTorch's ReLU functions."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def listed(found: list[str]) -> Iterator[None]:
    """Add a name for each call that this thread makes inside the block, Keras's own calls included.

    Args:
        found: filled call by call.
    """
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    watched = {functional.relu, functional.relu_, functional.relu6, torch.relu, torch.relu_}
    watched |= {torch.Tensor.relu, torch.Tensor.relu_}

    class Noting(TorchFunctionMode):
        """Writes down the ReLU functions that are called, and calls them."""

        def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
            if func in watched:
                found.append(f"torch {func.__name__}")
            return func(*args, **(kwargs or {}))

    with Noting():
        yield
