"""How far the outputs of an exported file are from Keras's, in steps of their grid."""

import keras
import numpy as np

from keras_arch.compression import graph
from keras_arch.compression.nesting import open_graph
from keras_arch.compression.quantization.layer import QuantizedLayer
from keras_arch.compression.quantization.measure import output_range
from keras_arch.compression.quantization_report import OutputGap


def output_gaps(model: keras.Model, samples: list[np.ndarray], outputs: list[np.ndarray]) -> tuple[OutputGap, ...]:
    """Compare what a file computed with what its model does.

    Args:
        model: the model that the file was made from.
        samples: one array for each input.
        outputs: what the file made of them, one array for each output.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    >>> x = np.ones((3, 2), "float32")
    >>> output_gaps(model, [x], [model.predict(x, verbose=0)])[0].max_difference
    0.0
    """
    given = keras.tree.pack_sequence_as(graph.inputs_of(model), samples)
    expected = keras.tree.flatten(model.predict(given, verbose=0))
    return tuple(gap(*pair) for pair in zip(_output_steps(model), expected, outputs, strict=True))


def _output_steps(model: keras.Model) -> list[tuple[str, float | None]]:
    """Name and step of every output of the model, in their flat order; None for the step of one left in float."""
    names = [name for name, _, _ in graph.graph_of(model).outputs]
    whole = open_graph(model)  # an output of a model inside is one of its layers'
    return [(name, _step(whole, *output)) for name, output in zip(names, whole.outputs, strict=True)]


def _step(whole: graph.Graph, name: str, call: int, position: int) -> float | None:
    layer = whole.operations[name]
    if isinstance(layer, keras.Model):  # one that stays closed: it is called several times
        return _step(open_graph(layer), *open_graph(layer).outputs[position])
    if isinstance(layer, QuantizedLayer) and layer.placement.outputs:
        measured = output_range(layer, position)
    elif isinstance(layer, QuantizedLayer):
        measured = layer.ranges["input_0"]
    elif whole.calls[name] and len(whole.calls[name][call]) == 1:
        # A layer that only moves values hands on the step of what it is given.
        source = whole.calls[name][call][0]
        return _step(whole, source.operation, source.call, source.position)
    else:
        return None
    return float(layer.activations_scheme.step(*measured))


def gap(named_step: tuple[str, float | None], expected: np.ndarray, got: np.ndarray) -> OutputGap:
    """How far one output of the file is from Keras's.

    Args:
        named_step: name of the output, and its step; None for an output in float.
        expected: Keras's values, shape (N, ...).
        got: the file's.
    """
    name, step = named_step
    if step is None:
        step = max(float(np.ptp(expected)) / 255, float(np.finfo("float32").tiny))
    difference = np.abs(np.asarray(got, "float64") - np.asarray(expected, "float64"))
    steps = (difference / step).round(3)  # both sides are multiples of a float32 step: one step reads as 1.0000002
    same = expected.argmax(-1) == got.argmax(-1)
    largest = max(float(np.abs(expected).max()), float(np.finfo("float32").tiny))
    return OutputGap(
        name=name,
        step=step,
        max_steps=float(steps.max()),
        mean_steps=float(steps.mean()),
        argmax_agreement=float(same.mean()),
        max_difference=float(difference.max()),
        relative_difference=float(difference.max()) / largest,
    )
