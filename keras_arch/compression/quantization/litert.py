"""The door to TensorFlow: conversion to LiteRT, and what the written bytes hold and compute."""

import collections
import contextlib
import gzip
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_arch.compression import graph
from keras_arch.compression.quantization.layer import QuantizedLayer
from keras_arch.compression.quantization.measure import output_range
from keras_arch.compression.quantization_report import FloatOperation, LiteRTFile, OutputGap
from keras_arch.core import optional

BORDER_OPERATIONS = ("QUANTIZE", "DEQUANTIZE", "DELEGATE")
FLOATS = (np.float32, np.float16, np.float64)


def convert(model: keras.Model) -> bytes:
    """The LiteRT bytes of a quantized model at batch 1.

    Args:
        model: a prepared model in a phase that rounds.
    Raises:
        RuntimeError: if the converter fails; holds the end of what it said.
    """
    specs = [
        tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, f"x{i}")
        for i, tensor in enumerate(_flat(graph.inputs_of(model)))
    ]
    unknown = [
        tensor.name for tensor, spec in zip(_flat(graph.inputs_of(model)), specs, strict=True) if None in spec.shape
    ]
    if unknown:
        raise ValueError(
            f"model must have inputs of fixed size to be exported; {unknown} have unknown sizes. "
            "Rebuild it with keras.Input(shape) of known sizes."
        )

    def serve(*tensors: Any) -> dict[str, Any]:
        outputs = model(keras.tree.pack_sequence_as(graph.inputs_of(model), tensors), training=False)
        return {f"y{i}": output for i, output in enumerate(_flat(outputs))}

    with tempfile.TemporaryDirectory() as folder, _captured_output() as said:
        try:
            archive = keras.export.ExportArchive()
            archive.track(model)
            archive.add_endpoint("serve", serve, input_signature=specs)
            archive.write_out(folder, verbose=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            # Without it every tensor is wrapped in a QUANTIZE / DEQUANTIZE pair and the file grows fourfold.
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            return converter.convert()
        except Exception as error:
            said.seek(0)
            tail = said.read().decode(errors="replace").strip()[-300:]
            raise RuntimeError(
                f"the LiteRT converter failed on model {model.name!r}: {str(error).strip()[:300]} {tail}".strip()
                + " Leave the layer it names in float with quantize(model, exclude=[...])."
            ) from error


@contextlib.contextmanager
def _captured_output() -> Iterator[Any]:
    """Keep what the converter writes off the terminal: its C++ part writes to the file descriptors themselves."""
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said, warnings.catch_warnings():
        # TensorFlow's converter warns of its own deprecated parts, which the user did not call.
        warnings.filterwarnings("ignore", module=r"(tensorflow|keras)\.")
        kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
        try:
            for descriptor in kept:
                os.dup2(said.fileno(), descriptor)
            python = open(said.fileno(), "w", closefd=False)  # noqa: SIM115 - closed by the with statement below
            with python, contextlib.redirect_stdout(python), contextlib.redirect_stderr(python):
                yield said
        finally:
            for descriptor, copy in kept.items():
                os.dup2(copy, descriptor)
                os.close(copy)


def _flat(structure: Any) -> list[Any]:
    return keras.tree.flatten(structure)


def _interpreter(content: bytes) -> Any:
    with _captured_output():  # the runtime announces its CPU delegate on the terminal
        interpreter = _new_interpreter(content)
        interpreter.allocate_tensors()
    return interpreter


def _new_interpreter(content: bytes) -> Any:
    if optional.available("ai_edge_litert"):
        return optional.require("ai_edge_litert.interpreter", extra="all", purpose="LiteRT").Interpreter(
            model_content=content
        )
    with warnings.catch_warnings():
        # TensorFlow announces that this class moves to ai_edge_litert, which is taken above where it is installed.
        warnings.filterwarnings("ignore", message=r"[\s\S]*tf\.lite\.Interpreter is deprecated")
        return tf.lite.Interpreter(model_content=content)


def examine(model: keras.Model, content: bytes, samples: list[np.ndarray], path: str) -> LiteRTFile:
    """Read LiteRT bytes back, run them on samples, and compare with the Keras model.

    Args:
        model: the model they were converted from.
        content: what `convert` returned.
        samples: one array for each input.
        path: where the bytes will stand, for the report.
    Raises:
        RuntimeError: if a kernel or an operation is in float that should be integer.
    """
    interpreter = _interpreter(content)
    kernels, float_ops = _inventory(interpreter)
    explained = tuple(FloatOperation(name, _reason(model, output)) for name, output in float_ops)
    _refuse_floats(model, kernels, explained)
    outputs, latency = _run(interpreter, model, samples)
    expected = _flat(model.predict(keras.tree.pack_sequence_as(graph.inputs_of(model), samples), verbose=0))
    gaps = [_gap(*pair) for pair in zip(_output_steps(model), expected, outputs, strict=True)]
    return LiteRTFile(
        path=path,
        bytes=len(content),
        bytes_gzipped=len(gzip.compress(content, 9)),
        float_weight_bytes=sum(4 * int(np.prod(weight.shape)) for weight in _inner_weights(model)),
        kernel_types=dict(kernels),
        float_ops=explained,
        outputs=tuple(gaps),
        latency_ms=latency,
        samples=len(samples[0]),
    )


def inputs_of(content: bytes) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape, with batch 1, and dtype of each input of a LiteRT file's signature, by name."""
    details = _interpreter(content).get_signature_runner().get_input_details()
    return {name: ((1, *map(int, d["shape"][1:])), np.dtype(d["dtype"])) for name, d in details.items()}


def run_file(content: bytes, samples: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of a LiteRT file by name, computed one sample a call.

    Args:
        content: the file's bytes.
        samples: arrays (N, ...) by input name, of the dtypes of `inputs_of`.
    """
    serve = _interpreter(content).get_signature_runner()
    count = len(next(iter(samples.values())))
    rows = [serve(**{name: array[i : i + 1] for name, array in samples.items()}) for i in range(count)]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _inner_weights(model: keras.Model) -> list[keras.Variable]:
    layers = [layer.layer if isinstance(layer, QuantizedLayer) else layer for layer in model.layers]
    return [weight for layer in layers for weight in layer.weights]


def _operations(interpreter: Any) -> list[dict[str, Any]]:
    """Name, inputs and outputs of every operation.

    `_get_ops_details` is private, in TensorFlow 2.21 and ai-edge-litert 2.1; nothing public lists the operations.
    """
    return interpreter._get_ops_details()


def _inventory(interpreter: Any) -> tuple[collections.Counter, list[tuple[str, str]]]:
    """(kernel type to count, [(operation, name of its output)] of those in float)."""
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    operations = [op for op in _operations(interpreter) if op["op_name"] != "DELEGATE"]
    made = {int(i) for op in operations for i in op["outputs"]} | {t["index"] for t in interpreter.get_input_details()}
    kernels, floats = collections.Counter(), []
    for op in operations:
        inputs = [tensors[int(i)] for i in op["inputs"] if int(i) in tensors]
        if len(inputs) > 1 and inputs[1]["index"] not in made and len(inputs[1]["shape"]) >= 2:
            kind = np.dtype(inputs[1]["dtype"]).name
            if kind not in ("int32", "int64", "bool"):  # those are paddings and indices
                kernels[kind] += 1
        outputs = [tensors[int(i)] for i in op["outputs"] if int(i) in tensors]
        in_float = any(tensor["dtype"] in FLOATS for tensor in outputs)
        if in_float and op["op_name"] not in BORDER_OPERATIONS:
            floats.append((op["op_name"], outputs[0]["name"]))
    return kernels, floats


def _reason(model: keras.Model, output: str) -> str:
    parts = output.replace(";", "/").split("/")
    # TensorFlow makes names unique by a number at their end.
    left = [
        layer.name
        for layer in model.layers
        if not isinstance(layer, QuantizedLayer)
        and any(re.fullmatch(re.escape(layer.name) + r"(_\d+)?", part) for part in parts)
    ]
    if left:
        return f"layer {left[0]!r} was left in float"
    return f"the converter has no integer form of it, at {output!r}"


def _refuse_floats(model: keras.Model, kernels: collections.Counter, float_ops: tuple[FloatOperation, ...]) -> None:
    unasked = [f"{op.name} ({op.reason})" for op in float_ops if not op.reason.endswith("was left in float")]
    asked = len(float_ops) > len(unasked)
    floats = [kind for kind in kernels if kind.startswith("float")]
    if unasked or (floats and not asked):
        found = unasked or [f"{kernels[kind]} kernels of type {kind}" for kind in floats]
        raise RuntimeError(
            f"the file is not all integer, so it was not written: {'; '.join(found)}. Replace these layers, write bare "
            "operations such as x + y as layers, or leave layers in float with quantize(model, exclude=[...])."
        )


def _run(interpreter: Any, model: keras.Model, samples: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """(one array for each output, median milliseconds of a call)."""
    serve = interpreter.get_signature_runner()
    rows, times = [], []
    for i in range(len(samples[0])):
        one = {f"x{k}": array[i : i + 1] for k, array in enumerate(samples)}
        start = time.perf_counter()
        result = serve(**one)
        times.append(time.perf_counter() - start)
        rows.append([result[f"y{k}"] for k in range(len(result))])
    return [np.concatenate(column) for column in zip(*rows, strict=True)], float(np.median(times) * 1e3)


def _output_steps(model: keras.Model) -> list[tuple[str, float | None]]:
    """Name and step of every output of the model, in their flat order; None for the step of one left in float."""
    whole = graph.graph_of(model)
    return [(name, _step(whole, name, call, position)) for name, call, position in whole.outputs]


def _step(whole: graph.Graph, name: str, call: int, position: int) -> float | None:
    layer = whole.operations[name]
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


def _gap(named_step: tuple[str, float | None], expected: np.ndarray, got: np.ndarray) -> OutputGap:
    name, step = named_step
    if step is None:
        step = max(float(np.ptp(expected)) / 255, float(np.finfo("float32").tiny))
    steps = np.abs(np.asarray(got, "float64") - np.asarray(expected, "float64")) / step
    steps = steps.round(3)  # both sides are float32 multiples of a float32 step: one step reads as 1.0000002
    same = expected.argmax(-1) == got.argmax(-1)
    return OutputGap(name, step, float(steps.max()), float(steps.mean()), float(same.mean()))
