"""Rectified linear units that pass back another gradient than their own, and the units that do not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keras import ops

from keras_arch.core import check
from keras_arch.ops.backend import kernels

BACKWARD = ("guided", "deconvnet")


def rectify(tensor: Any, backward: str, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """ReLU whose backward pass lets no negative gradient through.

    y = min(x, max_value) where x > threshold, else 0
    guided:    ∂x = ∂y where ∂y > 0 and threshold < x < max_value, else 0
    deconvnet: ∂x = ∂y where ∂y > 0, else 0
    x: the input.   y: the output.   ∂: the gradient that flows back to it.

    Args:
        tensor: x, floats of any shape.
        backward: "guided" or "deconvnet".
        max_value: where the output ends, or None.
        threshold: where it begins.
    Returns:
        Tensor of the shape and dtype of x.
    Raises:
        ValueError: for another name of the backward pass.
    Source: Springenberg et al. 2015, arXiv:1412.6806 (guided); Zeiler and Fergus 2014, arXiv:1311.2901 (deconvnet).

    >>> rectify(keras.ops.convert_to_tensor([-1.0, 2.0, 7.0]), "guided", max_value=6.0).numpy().tolist()
    [0.0, 2.0, 6.0]
    """
    check.one_of("backward", backward, BACKWARD)

    @ops.custom_gradient
    def rectified(x: Any) -> tuple[Any, Any]:
        # No operation that is itself a ReLU: `plain_rectifiers` lists those.
        y = ops.maximum(x, 0) if threshold == 0 else ops.where(x > threshold, x, ops.zeros_like(x))
        y = y if max_value is None else ops.minimum(y, ops.cast(max_value, x.dtype))

        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream  # PyTorch names it
            passes = upstream > 0
            if backward == "guided":
                passes = ops.logical_and(passes, x > threshold)
                passes = passes if max_value is None else ops.logical_and(passes, x < max_value)
            return ops.where(passes, upstream, ops.zeros_like(upstream))

        return y, gradient

    return rectified(tensor)


@contextmanager
def plain_rectifiers() -> Iterator[list[str]]:
    """List the ReLU that compute inside the block with their own gradient; the list is complete at its end.

    Found are, whoever calls them: on TensorFlow the operations Relu and Relu6 of the graph under way, those in its
    loops too; on PyTorch calls of `relu` and `relu6`, as functions, methods or modules; on JAX calls of `jax.nn.relu`
    and `jax.nn.relu6` by these names. A maximum with zero is not one of them.

    >>> with plain_rectifiers() as found:
    ...     y = keras.ops.maximum(-1.0, 0.0)
    >>> found
    []
    """
    found: list[str] = []
    with kernels("rectifiers").listed(found):
        yield found
