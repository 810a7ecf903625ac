"""Gradients on any backend: what keras.ops has no word for."""

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from keras_arch.ops.backend import kernels

Tensor = Any


def gradients(function: Callable[[list[Tensor]], Tensor], points: Sequence[Tensor]) -> list[Tensor]:
    """Gradient of a scalar function at some tensors, computed eagerly.

    result[i] = df / dp[i], and zeros where f does not depend on p[i].

    Args:
        function: from a list of tensors, like `points`, to a float scalar; called once.
        points: p, float tensors of any shapes.
    Returns:
        Dense tensors of the shapes and dtypes of `points`.

    >>> square = lambda tensors: keras.ops.sum(tensors[0] ** 2)
    >>> points = [keras.ops.convert_to_tensor([1.0, -3.0]), keras.ops.convert_to_tensor([5.0])]
    >>> [keras.ops.convert_to_numpy(gradient).tolist() for gradient in gradients(square, points)]
    [[2.0, -6.0], [0.0]]
    """
    found = kernels("gradients").gradients(function, list(points))
    return [
        ops.zeros_like(point) if gradient is None else gradient for gradient, point in zip(found, points, strict=True)
    ]
