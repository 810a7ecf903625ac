"""A trainable copy of a model whose layers compute with quantized values."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_arch.compression.clone import clone, copy_of, fill
from keras_arch.compression.graph import Graph, graph_of
from keras_arch.compression.quantization.coverage import Coverage
from keras_arch.compression.quantization.layer import QuantizedLayer
from keras_arch.compression.quantization.scheme import Scheme, as_scheme
from keras_arch.core import check
from keras_arch.core.walk import find


def quantize(
    model: keras.Model,
    weights: int | Scheme = 8,
    activations: int | Scheme = 8,
    exclude: Iterable[str | keras.Layer] = (),
) -> keras.Model:
    """Copy a model into one that can be trained for integer arithmetic.

    The copy starts in the phase "observe", where it computes exactly what the given model does. Train it with
    `keras_arch.callbacks.QuantizationAwareTraining`, or show it data with `keras_arch.compression.calibrate`; then
    `keras_arch.compression.export_litert` writes the integer model. It saves and loads with its ranges and its phase.

    Kernels, the trained weights of rank 2 or more, are rounded wherever they are. Activations are rounded where LiteRT
    rounds them: after a convolution with its batch normalization and ReLU, at the inputs, never after layers that only
    move values. Biases and batch-norm parameters stay float in training; LiteRT keeps them in 32 bits.

    Args:
        model: a built Sequential or functional model without nested models. It is not changed.
        weights: bits of the kernels, 2 to 8, or a `Scheme`.
        activations: bits of the tensors between layers, 2 to 8 or 16, or a `Scheme`.
        exclude: names of layers, or layers, to leave in float.
    Returns:
        A new model, not compiled, with the same weights, layer names, inputs and outputs.
    Raises:
        ValueError: for bits out of range, a model without a graph, a nested model, or a layer that cannot be copied.
    Source: Jacob et al. 2018, arXiv:1712.05877.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu", name="hidden")])
    >>> q = ka.compression.quantize(model, weights=8, activations=8)
    >>> x = np.ones((2, 4), "float32")
    >>> bool((model.predict(x, verbose=0) == q.predict(x, verbose=0)).all()), q.get_layer("hidden").quantization_phase
    (True, 'observe')
    """
    weights, activations = as_scheme("weights", weights), as_scheme("activations", activations)
    graph = graph_of(model)
    _refuse_nested(graph)
    excluded = _names(model, exclude)
    coverage = Coverage(graph, excluded, activations.bits)
    inner = {}

    def copy(operation: Any) -> Any:
        if not isinstance(operation, keras.Layer):
            return operation
        placement = coverage.placements[operation.name]
        if placement is None:
            inner[operation.name] = copy_of(operation)
            return inner[operation.name]
        splits = placement.before_activation
        inner[operation.name] = copy_of(operation, activation="linear") if splits else copy_of(operation)
        return QuantizedLayer(
            inner[operation.name],
            weights,
            activations,
            placement,
            activation=operation.activation if splits else None,
            name=operation.name,
        )

    quantized = clone(model, copy)
    for name, copied in inner.items():
        fill(copied, graph.operations[name], graph.operations[name].get_weights())
    return quantized


def _refuse_nested(graph: Graph) -> None:
    for name, operation in graph.operations.items():
        if isinstance(operation, keras.Model):
            raise ValueError(
                f"model must be flat; received one whose layer {name!r} is itself a model. "
                f"Call its layers in the outer graph, or quantize the inner model by itself."
            )
        if isinstance(operation, QuantizedLayer):
            raise ValueError(
                f"model must be a float model; received one whose layer {name!r} is quantized already. "
                "Quantize the model it was made from."
            )


def _names(model: keras.Model, exclude: Iterable[str | keras.Layer]) -> set[str]:
    if isinstance(exclude, str | keras.Layer):
        raise check.refuse("exclude", "must be a list of layers or their names", exclude, "Write exclude=[...].")
    names = set()
    for entry in exclude:
        if not isinstance(entry, str | keras.Layer):
            raise check.refuse("exclude", "must hold layers or their names", entry, 'Pass for example ["dense"].')
        names.add(find(model, entry.name if isinstance(entry, keras.Layer) else entry, "exclude").name)
    return names
