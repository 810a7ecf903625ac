"""Gradients by autograd."""

from collections.abc import Callable
from typing import Any


def gradients(function: Callable[[list], Any], points: list) -> list:
    """What `ops.gradients.gradients` computes. No `.grad` is written.

    A parameter that is trained stands for itself, so that modules which read it without asking Keras are seen.

    Args:
        function: from tensors like `points` to a scalar.
        points: float tensors or parameters.
    Returns:
        One tensor for each point, None where the scalar does not depend on it.
    """
    import torch

    with torch.enable_grad():
        points = [point if point.requires_grad else point.detach().requires_grad_() for point in points]
        value = function(points)
        if not value.requires_grad:
            return [None] * len(points)
        return list(torch.autograd.grad(value, points, allow_unused=True))
