"""The door to TensorFlow: conversion to LiteRT, and running the written bytes."""

import math
import tempfile
import time
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_arch.compression import graph
from keras_arch.compression.quantization import litert_contents
from keras_arch.compression.quantization.captured_output import captured_output
from keras_arch.compression.quantization.float_islands import exporting
from keras_arch.compression.quantization.modes import Mode
from keras_arch.compression.quantization.phase import quantized_layers
from keras_arch.compression.quantization.uneven_biases import uneven_biases
from keras_arch.core import optional


def convert(model: keras.Model, mode: Mode, batch_size: int = 1) -> bytes:
    """The LiteRT bytes of a model at a fixed batch size.

    Args:
        model: a prepared model in a phase that rounds, or a float model.
        mode: what `modes.mode_of` returned for it.
        batch_size: samples in one call.
    Raises:
        RuntimeError: if the converter fails; holds the end of what it said.
    """
    specs = [
        tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype, f"x{i}")
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

    tf.get_logger()  # made now: one made below would go on writing to a file that is closed
    with tempfile.TemporaryDirectory() as folder, exporting(model), uneven_biases(model), captured_output() as said:
        try:
            archive = keras.export.ExportArchive()
            archive.track(model)
            archive.add_endpoint("serve", serve, input_signature=specs)
            archive.write_out(folder, verbose=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            if mode.name != "float32":
                # Without it every rounded tensor is wrapped in a QUANTIZE / DEQUANTIZE pair: the file grows fourfold.
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if mode.name == "float16":
                converter.target_spec.supported_types = [tf.float16]
            content = converter.convert()
        except Exception as error:
            said.seek(0)
            tail = said.read().decode(errors="replace").strip()[-300:]
            raise RuntimeError(
                f"the LiteRT converter failed on model {model.name!r}: {str(error).strip()[:300]} {tail}".strip()
                + " Leave the layer it names in float with quantize(model, exclude=[...])."
            ) from error
    if mode.integer:
        content = litert_contents.narrow_kernels(content, _kernel_widths(model))
    return litert_contents.widen_biases(content) if "int16" in mode.activations else content


def _kernel_widths(model: keras.Model) -> dict[int, set[int]]:
    """How many values a kernel has to the bits of such kernels."""
    widths: dict[int, set[int]] = {}
    for _, layer in quantized_layers(model):
        for kernel in layer.kernels:
            widths.setdefault(math.prod(kernel.shape), set()).add(layer.weights_scheme.bits)
    return widths


def _flat(structure: Any) -> list[Any]:
    return keras.tree.flatten(structure)


def _interpreter(content: bytes) -> Any:
    with captured_output():  # the runtime announces its CPU delegate on the terminal
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


def inputs_of(content: bytes) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and dtype of each input of a LiteRT file's signature, by name; the first size is the samples in a call."""
    details = _interpreter(content).get_signature_runner().get_input_details()
    return {name: (tuple(map(int, d["shape"])), np.dtype(d["dtype"])) for name, d in details.items()}


def run_file(content: bytes, samples: dict[str, np.ndarray], times: list[float] | None = None) -> dict[str, np.ndarray]:
    """Outputs of a LiteRT file by name, computed in calls of the file's own batch size.

    Args:
        content: the file's bytes.
        samples: arrays (N, ...) by input name, of the dtypes of `inputs_of`.
        times: a list to which the seconds of each call are appended.
    """
    serve = _interpreter(content).get_signature_runner()
    batch_size = max(int(d["shape"][0]) for d in serve.get_input_details().values())
    count = len(next(iter(samples.values())))
    rows = []
    for begin in range(0, count, batch_size):
        # The last call is filled up with its last sample again.
        places = np.minimum(np.arange(begin, begin + batch_size), count - 1)
        one = {name: array[places] for name, array in samples.items()}
        start = time.perf_counter()
        rows.append(serve(**one))
        if times is not None:
            times.append(time.perf_counter() - start)
    return {name: np.concatenate([row[name] for row in rows])[:count] for name in rows[0]}
