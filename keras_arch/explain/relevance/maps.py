"""Layers with a kernel, and batch normalization after them, as linear maps."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from keras_arch.core import tap
from keras_arch.explain.relevance.ledger import wide
from keras_arch.explain.relevance.linear_map import LinearMap


@contextlib.contextmanager
def reading(layer: keras.Layer, values: list[tuple[keras.Variable, Any]]) -> Iterator[None]:
    """Inside the block some of the layer's variables read as other tensors of their shapes; nothing is assigned.

    Args:
        layer: a built layer.
        values: pairs of a variable of the layer and what it reads as.

    >>> dense = keras.layers.Dense(1, use_bias=False)
    >>> dense.build((None, 2))
    >>> with reading(dense, [(dense.kernel, np.ones((2, 1), "float32"))]):
    ...     print(float(dense.call(np.ones((1, 2), "float32"))[0, 0]))
    2.0
    """
    lent = {id(variable): value for variable, value in values}
    # All of them: a scope hides the values that an outer scope lends.
    mapping = [(one, lent.get(id(one), one.value)) for one in layer.variables]
    with keras.StatelessScope(state_mapping=mapping):
        yield


def has_kernel(layer: keras.Layer) -> bool:
    """Whether a layer multiplies its one input with a kernel of its own. A recurrent cell also has states."""
    kernels = (getattr(layer, name, None) for name in ("kernel", "depthwise_kernel"))
    return not hasattr(layer, "state_size") and any(isinstance(kernel, keras.Variable) for kernel in kernels)


def is_convolution(layer: keras.Layer) -> bool:
    """Whether a layer slides over positions."""
    return hasattr(layer, "kernel_size")


def linear_maps(
    layer: keras.Layer, original: Callable, args: tuple, kwargs: dict
) -> list[Callable[[Any], tuple[LinearMap, Any]]]:
    """The linear maps that make up a layer, one after the other; a separable convolution is two.

    Args:
        layer: one that `has_kernel`.
        original: its call.
        args: of the call, after the input.
        kwargs: of the call.
    Returns:
        Functions from the input of a map to the map there and its output with bias, without activation.
    """
    if hasattr(layer, "pointwise_kernel"):
        return [lambda x: _depthwise(layer, x), lambda x: _pointwise(layer, x)]
    return [lambda x: _whole(layer, original, x, args, kwargs)]


def _whole(layer: keras.Layer, original: Callable, x: Any, args: tuple, kwargs: dict) -> tuple[LinearMap, Any]:
    bias = getattr(layer, "bias", None)
    bias = bias if isinstance(bias, keras.Variable) else None
    kernels = [one for one in layer.variables if one is not bias and keras.backend.is_float_dtype(one.dtype)]

    def apply(x: Any, change: Callable) -> Any:
        values = [(kernel, change(kernel.value)) for kernel in kernels]
        if bias is not None:
            values.append((bias, ops.zeros_like(bias.value)))
        with reading(layer, values), _without_activation(layer):
            return wide(original(ops.cast(x, layer.compute_dtype), *args, **kwargs))

    with _without_activation(layer):
        result = original(x, *args, **kwargs)
    if bias is None:
        return LinearMap(apply, wide(result)), result
    added = wide(_spread(layer, bias.value))
    return LinearMap(apply, wide(result) - ops.stop_gradient(added), added), result


def _depthwise(layer: keras.Layer, x: Any) -> tuple[LinearMap, Any]:
    options = {"strides": layer.strides, "dilation_rate": layer.dilation_rate}
    options |= {"padding": layer.padding, "data_format": layer.data_format}

    def apply(x: Any, change: Callable) -> Any:
        kernel = change(ops.cast(layer.depthwise_kernel, layer.compute_dtype))
        return wide(ops.depthwise_conv(ops.cast(x, layer.compute_dtype), kernel, **options))

    raw = apply(x, lambda kernel: kernel)
    return LinearMap(apply, raw), ops.cast(raw, x.dtype)


def _pointwise(layer: keras.Layer, x: Any) -> tuple[LinearMap, Any]:
    def apply(x: Any, change: Callable) -> Any:
        kernel = change(ops.cast(layer.pointwise_kernel, layer.compute_dtype))
        x = ops.cast(x, layer.compute_dtype)
        return wide(ops.conv(x, kernel, strides=1, padding="valid", data_format=layer.data_format))

    raw = apply(x, lambda kernel: kernel)
    if layer.bias is None:
        return LinearMap(apply, raw), ops.cast(raw, x.dtype)
    added = wide(_spread(layer, layer.bias.value))
    return LinearMap(apply, raw, added), ops.cast(raw + added, x.dtype)


def _without_activation(layer: keras.Layer) -> contextlib.AbstractContextManager:
    return tap.replaced(layer, activation=None) if hasattr(layer, "activation") else contextlib.nullcontext()


def _spread(layer: keras.Layer, bias: Any) -> Any:
    """A bias in a shape that broadcasts to the output."""
    if is_convolution(layer) and layer.data_format == "channels_first":
        return ops.reshape(bias, (1, -1, *[1] * len(layer.kernel_size)))  # (1, C, 1, ...)
    return bias


def scale_and_shift(layer: keras.layers.BatchNormalization, x: Any) -> tuple[Any, Any]:
    """(s, t) of a batch normalization at inference, s x + t, in shapes that broadcast to x.

    s = γ / √(variance + ε), t = β - mean · s.
    """
    shape = [1] * len(x.shape)
    shape[layer.axis] = -1
    scale = ops.rsqrt(wide(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        scale = scale * wide(layer.gamma)
    shift = -wide(layer.moving_mean) * scale
    if layer.center:
        shift = shift + wide(layer.beta)
    return ops.reshape(scale, shape), ops.reshape(shift, shape)


def merged(linear: LinearMap, scale: Any, shift: Any) -> LinearMap:
    """The map with a batch normalization after it: s (W x + b) + t as one layer.

    >>> one = LinearMap(lambda x, change: x @ change(np.float32([[2.0]])), raw=np.float32([[6.0]]))
    >>> float(merged(one, np.float32(-1.0), np.float32(3.0)).total()[0, 0])
    -6.0
    """
    bias = shift if linear.bias is None else linear.bias * scale + shift
    return replace(linear, scale=scale if linear.scale is None else linear.scale * scale, bias=bias)
