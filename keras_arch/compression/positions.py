"""How often one sample goes through each kernel, which is what its operations are counted by."""

import contextlib
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core.tap import intercept
from keras_arch.core.walk import walk

L = keras.layers
_CONVOLUTIONS = tuple(getattr(L, f"{kind}Conv{d}D") for kind in ("", "Depthwise", "Separable") for d in (1, 2, 3)
                      if hasattr(L, f"{kind}Conv{d}D"))  # fmt: skip
_TRANSPOSED = tuple(getattr(L, f"Conv{d}DTranspose") for d in (1, 2, 3) if hasattr(L, f"Conv{d}DTranspose"))


def positions_of(model: keras.Model) -> dict[int, int]:
    """Count the places of one sample that each kernel of a model is multiplied with.

    Once for a dense layer on (B, D), T times on (B, T, D) and in a recurrent layer of T steps, once for each pixel that
    a convolution makes. A pass over a sample of zeros counts them, outside of all state; axes of unknown length count
    as 1. Kernels of layers that are neither Keras's nor made of them are not counted, and none are if the pass fails or
    the model does not know the shape of its input.

    Args:
        model: a built model.
    Returns:
        id of the kernel to the count.

    >>> from keras_arch.compression.positions import positions_of
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3), keras.layers.Dense(2)])
    >>> [positions_of(model)[id(layer.kernel)] for layer in model.layers]
    [36, 36]
    """
    counts: Counter[int] = Counter()
    with contextlib.ExitStack() as stack:
        for layer in [layer for _, layer in walk(model)]:
            counter = _counter(layer)
            if counter is not None:
                stack.enter_context(intercept(layer, _counted(layer, counter, counts)))
        try:
            with keras.StatelessScope():
                model(_zeros(model), training=False)
        except Exception:  # whatever a model of its own may raise for zeros
            return {}
    return dict(counts)


def _counted(layer: keras.Layer, counter: Callable, counts: Counter[int]) -> Callable[..., Any]:
    def around(original: Callable, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        output = original(inputs, *args, **kwargs)
        for variable in layer.trainable_variables + layer.non_trainable_variables:
            if len(variable.shape) > 1:
                counts[id(variable)] += counter(layer, inputs, output)
        return output

    return around


def _counter(layer: keras.Layer) -> Callable[[Any, Any, Any], int] | None:
    """(layer, input, output) -> positions of one call, for a batch of one sample."""
    if isinstance(layer, L.Dense):
        return lambda layer, inputs, output: math.prod(inputs.shape[:-1])
    if isinstance(layer, L.EinsumDense):
        return _contracted
    if isinstance(layer, _TRANSPOSED):
        return lambda layer, inputs, output: math.prod(inputs.shape) // _channels(layer, inputs)
    if isinstance(layer, _CONVOLUTIONS):
        return lambda layer, inputs, output: math.prod(output.shape) // _channels(layer, output)
    if isinstance(layer, L.RNN):
        return lambda layer, inputs, output: inputs.shape[1]
    return None


def _channels(layer: Any, tensor: Any) -> int:
    return tensor.shape[1 if layer.data_format == "channels_first" else -1]


def _contracted(layer: L.EinsumDense, inputs: Any, output: Any) -> int:
    """Entries of the output for each entry of the kernel's own output axes."""
    kernel, result = layer.equation.split(",")[1].split("->")
    shared = [size for letter, size in zip(kernel, layer.kernel.shape, strict=True) if letter in result]
    return math.prod(output.shape) // math.prod(shared)


def _zeros(model: keras.Model) -> Any:
    """One sample of zeros, in the structure that the model is called with."""
    if isinstance(model, keras.Sequential):
        return _zero(model.inputs[0].shape, model.inputs[0].dtype)
    if getattr(model, "input", None) is not None:
        return keras.tree.map_structure(lambda tensor: _zero(tensor.shape, tensor.dtype), model.input)
    return _zero(model.get_build_config()["input_shape"], model.compute_dtype)


def _zero(shape: Any, dtype: Any) -> Any:
    return ops.convert_to_tensor(np.zeros([1, *(size or 1 for size in shape[1:])]), dtype=dtype)
