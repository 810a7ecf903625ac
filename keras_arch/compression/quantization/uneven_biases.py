"""Biases whose values are all equal, told apart while a model is converted."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.compression.quantization.phase import quantized_layers

NUDGE = np.float32(1 + 2.0**-20)  # less than any integer of a bias shows, and above float32's rounding of sums


@contextlib.contextmanager
def uneven_biases(model: keras.Model) -> Iterator[None]:
    """Lend biases whose values are all equal a first value that differs by a millionth, for the time of a `with` block.

    TensorFlow 2.21's converter keeps equal values as one, and makes one integer of it with the scale of the first
    channel, though each channel of a convolution has a scale of its own: the biases of the others are wrong then.
    Offsets of batch normalizations, which become biases, are lent another value too.

    Args:
        model: what `quantize` returned, or any other.

    >>> dense = keras.layers.Dense(2, bias_initializer="ones")
    >>> q = ka.compression.quantize(keras.Sequential([keras.Input((3,)), dense]))
    >>> bias = q.layers[0].layer.bias
    >>> with uneven_biases(q):
    ...     print(bool(bias[0] > bias[1]), float(bias[1]))
    True 1.0
    >>> ops.convert_to_numpy(bias).tolist()
    [1.0, 1.0]
    """
    lent = {id(weight): weight for _, layer in quantized_layers(model) for weight in _offsets(layer)}
    kept = [(weight, ops.convert_to_numpy(weight).copy()) for weight in lent.values()]
    kept = [(weight, value) for weight, value in kept if value.size > 1 and value.any() and np.ptp(value) == 0]
    try:
        for weight, value in kept:
            first = np.ones_like(value)
            first.flat[0] = NUDGE
            weight.assign(value * first)
        yield
    finally:
        for weight, value in kept:
            weight.assign(value)


def _offsets(layer: Any) -> list[keras.Variable]:
    """The float weights of a layer that computes in integers, but for kernels and factors."""
    if layer.placement.in_float is not None:
        return []
    kernels = {id(kernel) for kernel in layer.kernels}
    return [
        weight
        for weight in layer.layer.weights
        if id(weight) not in kernels
        and keras.backend.is_float_dtype(weight.dtype)
        and not any(part in weight.name for part in ("gamma", "variance"))
    ]
