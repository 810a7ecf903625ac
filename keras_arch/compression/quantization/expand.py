"""Layers made of layers, written out as models of their parts, so that each tensor inside can be rounded."""

from collections.abc import Callable, Collection
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.compression.clone import clone, copy_of, fill
from keras_arch.compression.graph import graph_of
from keras_arch.core.walk import walk

PROBES = 2
TOLERANCE = 1e-5


def expand(model: keras.Model, keep: Collection[str] = (), prefix: str = "") -> keras.Model:
    """Copy a model so that each layer made of other layers becomes a model of these, of the same name.

    Attention, transformer and convolutional blocks are written out, again and again down to layers with kernels and
    bare operations, by calling their own `call` on symbolic tensors. A layer stays whole if that fails, if it has
    weights beside those of its parts, is called several times or takes a mask, or if the parts compute anything else
    than the layer does, on trial values, in inference or training.

    Args:
        model: a built Sequential or functional model; it is not changed.
        keep: paths of layers that stay whole.
        prefix: of the paths of its layers.
    Returns:
        A model with the same weights, inputs and outputs, not compiled.
    Raises:
        ValueError: if a layer's config does not describe its weights.

    >>> from keras_arch.compression.quantization.expand import expand
    >>> x = keras.Input((3, 8))
    >>> model = keras.Model(x, keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x))
    >>> sorted(layer.name for layer in expand(model).get_layer("attention").layers if layer.weights)
    ['attention_output', 'key', 'query', 'value']
    """
    calls = graph_of(model).calls
    originals: dict[str, keras.Layer] = {}

    def copy(operation: Any) -> Any:
        if not isinstance(operation, keras.Layer):
            return operation
        if isinstance(operation, keras.Model) and _has_graph(operation):
            return expand(operation, keep, f"{prefix}{operation.name}/")
        originals[operation.name] = operation
        return copy_of(operation)

    def opened(operation: Any, *args: Any, **kwargs: Any) -> tuple[keras.Model | None, Any]:
        """What an operation gives, and a model of its parts, None if it stays whole."""
        outputs = operation(*args, **kwargs)
        original = originals.pop(operation.name, None)
        weights = [] if original is None else original.get_weights()
        if original is not None:
            fill(operation, original, weights)
        path = prefix + operation.name
        if len(calls[operation.name]) > 1 or path in keep or isinstance(operation, keras.Model):
            return None, outputs
        parts = _parts_of(operation, args, kwargs)
        if original is not None:
            operation.set_weights(weights)  # the trial in training moved its statistics
        return (None if parts is None else expand(parts, keep, f"{path}/")), outputs

    if isinstance(model, keras.Sequential):
        tensor = keras.Input(batch_shape=model.input_shape, dtype=model.inputs[0].dtype, name=model.inputs[0].name)
        layers = [tensor]
        for layer in map(copy, model.layers):
            parts, tensor = opened(layer, tensor)
            layers.append(layer if parts is None else parts)
        return keras.Sequential(layers, name=model.name)

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        parts, outputs = opened(operation, *args, **kwargs)
        if parts is None:
            return outputs
        given = [tensor for tensor in keras.tree.flatten((args, kwargs)) if keras.backend.is_keras_tensor(tensor)]
        return parts(given if len(given) > 1 else given[0])

    return clone(model, copy, call=call)


def _has_graph(model: keras.Model) -> bool:
    try:
        graph_of(model)
    except ValueError:
        return False
    return True


def _parts_of(operation: Any, args: tuple, kwargs: dict) -> keras.Model | None:
    """A model of what an operation is made of, None if it stays whole."""
    if isinstance(operation, keras.Layer):
        sublayers = [layer for _, layer in walk(operation)]
        own = {id(weight) for weight in operation.weights}
        own -= {id(weight) for layer in sublayers for weight in layer.weights}
        if not sublayers or own or operation.compute_dtype != "float32":
            return None
        function: Callable = operation.call
    elif type(operation).__name__ == "DotProductAttention":
        function = _composed(operation, kwargs, len(args))
    else:
        return None
    tensors = keras.tree.flatten((args, kwargs))
    if function is None or any(_masked(tensor) for tensor in tensors):
        return None
    try:
        entries = [
            keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)
            for tensor in tensors
            if keras.backend.is_keras_tensor(tensor)
        ]
        fresh = iter(entries)
        given, named = keras.tree.map_structure(
            lambda tensor: next(fresh) if keras.backend.is_keras_tensor(tensor) else tensor, (args, kwargs)
        )
        parts = keras.Model(entries if len(entries) > 1 else entries[0], function(*given, **named), name=operation.name)
        return parts if _complete(operation, parts) and _same(operation, parts, args, kwargs) else None
    except Exception:  # whatever a call does that symbolic tensors can't, the layer stays whole
        return None


def _complete(operation: Any, parts: keras.Model) -> bool:
    """Whether all weights of an operation are those of layers among its parts, and of no bare operation."""
    weights = operation.weights if isinstance(operation, keras.Layer) else []
    return {id(weight) for weight in weights} == {id(weight) for weight in parts.weights}


def _composed(attention: Any, kwargs: dict, positional: int) -> Callable | None:
    """`keras.ops.dot_product_attention`, one operation, as its products and its softmax."""
    scale = kwargs.get("scale")
    plain = not attention.is_causal and attention.attn_logits_soft_cap is None and positional == 3
    if not plain or any(kwargs.get(name) is not None for name in ("bias", "mask")):
        return None

    def compose(query: Any, key: Any, value: Any, **_: Any) -> Any:
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        scores = ops.einsum("btnh,bsnh->bnts", ops.multiply(query, factor), key)  # (B, N, T, S)
        return ops.einsum("bnts,bsnh->btnh", keras.layers.Softmax(name="softmax")(scores), value)  # (B, T, N, H)

    return compose


def _masked(tensor: Any) -> bool:
    """Whether a mask travels with a symbolic tensor; Keras 3.15 keeps it in a private attribute."""
    return getattr(tensor, "_keras_mask", None) is not None


def _same(operation: Any, parts: keras.Model, args: tuple, kwargs: dict) -> bool:
    """Whether the parts compute what the whole does, judged by trial values."""
    rng = np.random.default_rng(0)
    trial = keras.tree.map_structure(lambda tensor: _trial(tensor, rng), (args, kwargs))
    tensors = [x for x in keras.tree.flatten(trial) if keras.ops.is_tensor(x)]
    tensors = tensors if len(tensors) > 1 else tensors[0]
    for training in (False, True):
        mode = {"training": training} if isinstance(operation, keras.Layer) and _trains(operation) else {}
        first, again = (_arrays(operation(*trial[0], **{**trial[1], **mode})) for _ in range(2))
        if training and not all(np.array_equal(*pair) for pair in zip(first, again, strict=True)):
            continue  # dropout: there is nothing to compare with
        ours = _arrays(parts(tensors, training=training))
        if not all(np.allclose(*pair, rtol=TOLERANCE, atol=TOLERANCE) for pair in zip(first, ours, strict=True)):
            return False
    return True


def _trains(layer: keras.Layer) -> bool:
    return "training" in layer.call.__code__.co_varnames


def _trial(tensor: Any, rng: np.random.Generator) -> Any:
    if not keras.backend.is_keras_tensor(tensor):
        return tensor
    shape = [PROBES if size is None else size for size in tensor.shape]
    values = rng.uniform(-1, 1, shape) if keras.backend.is_float_dtype(tensor.dtype) else rng.integers(0, 2, shape)
    return ops.convert_to_tensor(values.astype(tensor.dtype))


def _arrays(outputs: Any) -> list[np.ndarray]:
    return [ops.convert_to_numpy(output) for output in keras.tree.flatten(outputs)]
