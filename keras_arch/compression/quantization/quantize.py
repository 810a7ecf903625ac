"""A trainable copy of a model whose layers compute with quantized values."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras

from keras_arch.compression.clone import clone, copy_of, fill
from keras_arch.compression.graph import graph_of
from keras_arch.compression.nesting import open_graph
from keras_arch.compression.quantization.coverage import Coverage
from keras_arch.compression.quantization.expand import expand
from keras_arch.compression.quantization.layer import QuantizedLayer
from keras_arch.compression.quantization.operation import OperationLayer
from keras_arch.compression.quantization.overrides import Schemes
from keras_arch.compression.quantization.scheme import Scheme, as_scheme
from keras_arch.core import check
from keras_arch.core.walk import find, path_of, walk


def quantize(
    model: keras.Model,
    weights: int | Scheme = 8,
    activations: int | Scheme = 8,
    exclude: Iterable[str | keras.Layer] = (),
    overrides: Mapping[str, Any] | Callable[[str, keras.Layer], Any] | None = None,
) -> keras.Model:
    """Copy a model into one that can be trained for integer arithmetic.

    The copy starts in the phase "observe", where it computes exactly what the given model does. Train it with
    `keras_arch.callbacks.QuantizationAwareTraining`, or show it data with `keras_arch.compression.calibrate`; then
    `keras_arch.compression.export_litert` writes the integer model. It saves and loads with its ranges and its phase.

    Kernels, the trained weights of rank 2 or more, are rounded wherever they are. Activations are rounded where LiteRT
    rounds them: after a convolution with its batch normalization and ReLU, at the inputs, never after layers that only
    move values. Biases and batch-norm parameters stay float in training; LiteRT keeps them in 32 bits.

    Rules decide, no list of classes. Models inside the model are quantized in their places. A layer made of layers
    (attention, transformer and convolutional blocks) becomes a model of its parts, of the same name, so that the
    tensors between them are rounded too; `x + y` and other bare operations become layers. Where no integer form is
    known (layer normalization, LSTM, attention with a mask), a layer is rounded at its ends, its kernels too, and
    computes in float between; `left_in_float` lists these.

    Args:
        model: a built Sequential or functional model. It is not changed.
        weights: bits of the kernels, 2 to 8, or a `Scheme`.
        activations: bits of the tensors between layers, 2 to 8 or 16, or a `Scheme`.
        exclude: paths or names of layers, or layers, to leave in float with all that is inside them.
        overrides: what some layers have instead: a dict of paths or names, or a callable `(path, layer) -> value`,
            where a value is bits or a `Scheme` for the kernels, a pair `(weights, activations)`, or None for what the
            others have. It holds for what is inside the layer too, unless that is named itself.
    Returns:
        A new model, not compiled, with the same weights, names, inputs and outputs.
    Raises:
        ValueError: for bits out of range, a model without a graph, a name that matches nothing, or a layer that cannot
            be copied.
    Source: Jacob et al. 2018, arXiv:1712.05877.

    >>> hidden = keras.layers.Dense(3, activation="relu", name="hidden")
    >>> model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(2, name="head")])
    >>> q = ka.compression.quantize(model, weights=8, activations=8, overrides={"head": 4})
    >>> x = np.ones((2, 4), "float32")
    >>> bool((model.predict(x, verbose=0) == q.predict(x, verbose=0)).all()), q.get_layer("hidden").quantization_phase
    (True, 'observe')
    >>> q.get_layer("head").weights_scheme.bits
    4
    """
    schemes = Schemes(model, as_scheme("weights", weights), as_scheme("activations", activations), overrides)
    graph_of(model)
    _refuse_quantized(model)
    excluded = _paths(model, exclude)
    return _quantized(expand(model, excluded), schemes, excluded, "")


def left_in_float(model: keras.Model) -> dict[str, str]:
    """Which layers of a quantized model compute in float, with the reason.

    Args:
        model: what `quantize` returned.
    Returns:
        Path of the layer to why; what only moves values, and inputs, are not listed.

    >>> layers = [keras.Input((4,)), keras.layers.LayerNormalization(name="norm"), keras.layers.Dense(2, name="head")]
    >>> ka.compression.left_in_float(ka.compression.quantize(keras.Sequential(layers), exclude=["head"]))
    {'norm': 'it is more than one product with its kernel', 'head': 'it was left in float'}
    """
    layers, reasons = dict(walk(model)), {}
    for path, layer in layers.items():
        parts = path.split("/")
        outer = (layers.get("/".join(parts[:end])) for end in range(1, len(parts)))
        if any(each is not None and not isinstance(each, keras.Model) for each in outer):
            continue  # told with the layer that it is part of
        if isinstance(layer, QuantizedLayer):
            if layer.placement.in_float is not None:
                reasons[path] = layer.placement.in_float
        elif layer.weights and not isinstance(layer, keras.Model):
            reasons[path] = "it was left in float"
    return reasons


def _quantized(model: keras.Model, schemes: Schemes, excluded: set[str], prefix: str) -> keras.Model:
    """A copy of an expanded model with wrappers; `prefix` leads its paths."""
    graph = open_graph(model)
    inside = {path.removeprefix(prefix) for path in excluded if path.startswith(prefix)}
    coverage = Coverage(graph, inside, lambda name: schemes.of(prefix + name)[1].bits)
    copies: dict[str, keras.Layer] = {}

    def copier(outer: str) -> Callable[[Any], Any]:
        def copy(operation: Any) -> Any:
            name = outer + operation.name
            if isinstance(operation, keras.Model):
                if name in graph.opened:
                    return clone(operation, copier(f"{name}/"), call=_call)
                return _closed(operation, schemes, excluded, f"{prefix}{name}/")
            placement = coverage.placements.get(name)
            if not isinstance(operation, keras.Layer):
                if placement is None:
                    return operation
                return QuantizedLayer(
                    OperationLayer(operation, name=operation.name),
                    *schemes.of(prefix + name),
                    placement,
                    name=operation.name,
                )
            splits = placement is not None and placement.before_activation
            copied = copy_of(operation, activation="linear") if splits else copy_of(operation)
            copies[name] = copied
            if placement is None:
                return copied
            if operation.built and len(graph.calls[name][0]) > 1 and operation.weights:
                copied.build_from_config(operation.get_build_config())
            activation = operation.activation if splits else None
            return QuantizedLayer(
                copied, *schemes.of(prefix + name), placement, activation=activation, name=operation.name
            )

        return copy

    quantized = clone(model, copier(""), call=_call)
    for name, copied in copies.items():
        original = graph.operations[name]
        fill(copied, original, original.get_weights())
    return quantized


def _call(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a copy on symbolic tensors; a layer takes nothing else by position, so a bare operation keeps the rest."""
    if not isinstance(operation, QuantizedLayer) or not isinstance(operation.layer, OperationLayer):
        return operation(*args, **kwargs)
    has_tensor = [any(map(keras.backend.is_keras_tensor, keras.tree.flatten(value))) for value in args]
    operation.layer.constants = {i: value for i, value in enumerate(args) if not has_tensor[i]}
    return operation(*(value for i, value in enumerate(args) if has_tensor[i]), **kwargs)


def _closed(model: keras.Model, schemes: Schemes, excluded: set[str], prefix: str) -> keras.Model:
    """A model inside that is called several times, or has no graph: quantized by itself, or left in float."""
    if prefix.rstrip("/") in excluded:
        return _float_copy(model)
    try:
        graph_of(model)
    except ValueError:
        return _float_copy(model)
    return _quantized(model, schemes, excluded, prefix)


def _float_copy(model: keras.Model) -> keras.Model:
    copied = copy_of(model)
    if model.built and not copied.built:
        copied.build_from_config(model.get_build_config())
    fill(copied, model, model.get_weights())
    return copied


def _refuse_quantized(model: keras.Model) -> None:
    for path, layer in walk(model):
        if isinstance(layer, QuantizedLayer):
            raise ValueError(
                f"model must be a float model; received one whose layer {path!r} is quantized already. "
                "Quantize the model it was made from."
            )


def _paths(model: keras.Model, exclude: Iterable[str | keras.Layer]) -> set[str]:
    if isinstance(exclude, str | keras.Layer):
        raise check.refuse("exclude", "must be a list of layers or their names", exclude, "Write exclude=[...].")
    paths = set()
    for entry in exclude:
        if not isinstance(entry, str | keras.Layer):
            raise check.refuse("exclude", "must hold layers or their names", entry, 'Pass for example ["dense"].')
        paths.add(path_of(model, find(model, entry, "exclude") if isinstance(entry, str) else entry))
    return paths
