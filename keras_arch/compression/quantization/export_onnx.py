"""Export to ONNX: every rounding a QuantizeLinear / DequantizeLinear pair, kernels stored as integers."""

import collections
import gzip
import os
import pathlib
import time
from typing import Any

import keras
import numpy as np

from keras_arch.compression.graph import inputs_of
from keras_arch.compression.quantization.calibrate import as_samples
from keras_arch.compression.quantization.captured_output import captured_output
from keras_arch.compression.quantization.kernel_grid import on_grid
from keras_arch.compression.quantization.measure import measure
from keras_arch.compression.quantization.output_gaps import output_gaps
from keras_arch.compression.quantization.phase import prepared_layers, require_rounding
from keras_arch.compression.quantization.quantize import left_in_float
from keras_arch.compression.quantization.replaced import replaced
from keras_arch.compression.quantization_report import LiteRTFile, QuantizationReport
from keras_arch.core import check, optional

OPSET = 17
# Where an operation takes its kernel, and which axes may be its channels; None for one scale.
KERNELS = {
    "Conv": (1, (0, None)),
    "ConvTranspose": (1, (1, None)),
    "Einsum": (1, (None, -1)),
    "Gather": (0, (None,)),
    "Gemm": (1, (None, 0, 1)),
    "MatMul": (1, (None, -1)),
}


def export_onnx(
    model: keras.Model, path: str | os.PathLike[str], samples: Any, batch_size: int = 1
) -> QuantizationReport:
    """Write a trained quantized model as an ONNX file, read it back and run it beside Keras in onnxruntime.

    Activations pass through QuantizeLinear / DequantizeLinear pairs of uint8 with the trained scales and zero points;
    kernels are int8 constants behind a DequantizeLinear, with one scale a channel where they were trained so. The file
    takes and gives float32 at a fixed batch size, and replaces a file at `path` only when it was run.

    Args:
        model: what `keras_arch.compression.quantize` returned, after training or `calibrate`; activations of 8 bits
            that span the measured range.
        path: where to write, such as "model.onnx"; the folder must exist.
        samples: array (N, ...), or a list or dict of arrays as the model takes them, N >= 1, to compare on.
        batch_size: samples that the file takes in one call.
    Returns:
        The report: the figures of every layer, and those of the file.
    Raises:
        ImportError: without the extra keras-arch[onnx].
        ValueError: for an unprepared or untrained model, other bits, an unsuitable path or samples.
        RuntimeError: if the converter fails, or a kernel is in float that should be integer.
        OSError: if `path` cannot be written; known before the conversion.

    >>> import importlib.util, os, tempfile
    >>> x = np.random.default_rng(0).normal(size=(20, 4))
    >>> q = ka.compression.quantize(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
    >>> if importlib.util.find_spec("tf2onnx"):
    ...     report = export_onnx(ka.compression.calibrate(q, x), os.path.join(tempfile.mkdtemp(), "model.onnx"), x)
    ...     assert report.file.kernel_types == {"int8": 1} and report.gap_steps < 1.01
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"export_onnx needs the TensorFlow backend; Keras runs on {keras.backend.backend()!r}. "
            "Save the model, and load it with KERAS_BACKEND=tensorflow."
        )
    require_rounding(model)
    _require_onnx_activations(model)
    check.integer("batch_size", batch_size)
    arrays, _ = as_samples(model, samples)
    for package in ("tf2onnx", "onnx", "onnxruntime"):
        if not optional.available(package):
            optional.require(package, extra="onnx", purpose="export_onnx")
    with replaced(path) as temporary:
        _convert(model, temporary, batch_size)
        kernels, activations = _store_integers(model, temporary)
        outputs, latency = _run(temporary, model, arrays, batch_size)
        content = temporary.read_bytes()
        file = LiteRTFile(
            path=os.fspath(path),
            bytes=len(content),
            bytes_gzipped=len(gzip.compress(content, 9)),
            float_weight_bytes=sum(4 * int(np.prod(weight.shape)) for weight in _plain_weights(model)),
            kernel_types=kernels,
            float_ops=(),
            outputs=output_gaps(model, arrays, outputs),
            latency_ms=latency,
            samples=len(arrays[0]),
            mode="onnx",
            activation_types=activations,
            batch_size=batch_size,
        )
    return QuantizationReport(measure(model).layers, file)


def _require_onnx_activations(model: keras.Model) -> None:
    for path, layer in prepared_layers(model):
        scheme = layer.activations_scheme
        if (layer.ranges or layer.placement.outputs) and (scheme.bits != 8 or scheme.narrow):
            raise ValueError(
                f"activations must have 8 bits and the full grid for ONNX; those of layer {path!r} have {scheme.bits} "
                f"bits, narrow={scheme.narrow}. Train with quantize(model, activations=8)."
            )


def _plain_weights(model: keras.Model) -> list[keras.Variable]:
    ranges = {
        id(weight)
        for _, layer in prepared_layers(model)
        for weight in (*(end for pair in layer.ranges.values() for end in pair), layer.batches)
    }
    return [weight for weight in model.weights if id(weight) not in ranges]


def _convert(model: keras.Model, path: pathlib.Path, batch_size: int) -> None:
    names = iter(range(len(keras.tree.flatten(inputs_of(model)))))

    def spec(tensor: Any) -> keras.InputSpec:
        return keras.InputSpec(shape=(batch_size, *tensor.shape[1:]), dtype=tensor.dtype, name=f"x{next(names)}")

    signature = [keras.tree.map_structure(spec, inputs_of(model))]
    if any(None in each.shape for each in keras.tree.flatten(signature)):
        raise ValueError(
            "model must have inputs of fixed size to be exported. Rebuild it with keras.Input(shape) of known sizes."
        )
    with captured_output():
        try:
            model.export(str(path), format="onnx", verbose=False, input_signature=signature, opset_version=OPSET)
        except Exception as error:
            raise RuntimeError(
                f"the ONNX converter failed on model {model.name!r}: {str(error).strip()[:300]}. "
                "Leave the layer it names in float with quantize(model, exclude=[...])."
            ) from error


def _store_integers(model: keras.Model, path: pathlib.Path) -> tuple[dict[str, int], dict[str, int]]:
    """Put int8 constants in the place of rounded kernels; returns the types of kernels and of activations, counted."""
    onnx = optional.require("onnx", extra="onnx", purpose="export_onnx")
    whole = onnx.load(str(path))
    graph = whole.graph
    constants = {constant.name: constant for constant in graph.initializer}
    bits = sorted({layer.weights_scheme.bits for _, layer in prepared_layers(model) if layer.kernels})
    kernels, dequantized = collections.Counter(), {}
    for node in graph.node:
        place, axes = KERNELS.get(node.op_type, (0, ()))
        name = node.input[place] if axes else ""
        if name not in constants or len(constants[name].dims) < 2:
            continue
        if name not in dequantized:
            dequantized[name] = _dequantized(onnx, name, onnx.numpy_helper.to_array(constants[name]), axes, bits)
        kernels["int8" if dequantized[name] else "float32"] += 1
        if dequantized[name]:
            node.input[place] = dequantized[name][0].output[0]
    if kernels["float32"] and not left_in_float(model):
        raise RuntimeError(
            f"the file is not all integer, so it was not written: {kernels['float32']} kernels are float32. "
            "Leave their layers in float with quantize(model, exclude=[...])."
        )
    added = [pair for pair in dequantized.values() if pair]
    nodes = [*(node for node, _ in added), *_without_erfc(onnx, graph)]
    used = _names_used(onnx, nodes)
    tensors = [tensor for _, parts in added for tensor in parts]
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *tensors])
    if any(node.op_type in ("Loop", "Scan") for node in nodes):
        # onnxruntime 1.32 ends the process when it optimizes QuantizeLinear around a loop.
        raise RuntimeError(
            "the file holds a loop, beside which onnxruntime cannot run QuantizeLinear, so it was not written. Build "
            "recurrent layers with unroll=True."
        )
    try:
        onnx.checker.check_model(whole)
    except onnx.checker.ValidationError as error:
        raise RuntimeError(
            f"the file is no valid ONNX, so it was not written: {str(error).strip()[:300]}. Leave the layer that this "
            "comes from out of the model, or write it with other operations."
        ) from error
    path.write_bytes(whole.SerializeToString())
    rounded = sum(node.op_type == "QuantizeLinear" for node in nodes)
    return {kind: count for kind, count in kernels.items() if count}, {"uint8": rounded}


def _without_erfc(onnx: Any, graph: Any) -> list[Any]:
    """The nodes, erfc(x) written as 1 - erf(x): tf2onnx 1.17 hands on TensorFlow's Erfc, which ONNX does not have."""
    nodes = []
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        one, erf = f"{node.output[0]}/one", f"{node.output[0]}/erf"
        graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1.0), one))
        nodes.append(onnx.helper.make_node("Erf", node.input, [erf]))
        nodes.append(onnx.helper.make_node("Sub", [one, erf], node.output))
    return nodes


def _names_used(onnx: Any, nodes: list[Any]) -> set[str]:
    """Names that nodes take, those in the bodies of loops and branches too."""
    used = {name for node in nodes for name in node.input}
    bodies = [part.g for node in nodes for part in node.attribute if part.type == onnx.AttributeProto.GRAPH]
    for body in bodies:
        used |= _names_used(onnx, list(body.node)) | {output.name for output in body.output}
    return used


def _dequantized(onnx: Any, name: str, kernel: np.ndarray, axes: tuple, bits: list[int]) -> tuple[Any, list] | None:
    """(DequantizeLinear of a kernel's integers, its constants); None for a kernel that is on no grid."""
    for axis in axes:
        found = on_grid(kernel, axis, bits) if kernel.dtype == np.float32 else None
        if found is None:
            continue
        integers, scale = found
        parts = {"integers": integers, "scale": scale, "zero": np.zeros(scale.shape, "int8")}
        tensors = [onnx.numpy_helper.from_array(np.asarray(v), f"{name}/{part}") for part, v in parts.items()]
        along = {} if axis is None else {"axis": axis % kernel.ndim}
        inputs = [tensor.name for tensor in tensors]
        return onnx.helper.make_node("DequantizeLinear", inputs, [f"{name}/dequantized"], **along), tensors
    return None


def _run(
    path: pathlib.Path, model: keras.Model, samples: list[np.ndarray], batch_size: int
) -> tuple[list[np.ndarray], float]:
    """(one array for each output, median milliseconds of a call)."""
    runtime = optional.require("onnxruntime", extra="onnx", purpose="export_onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    taken = {tensor.name for tensor in session.get_inputs()}
    count, rows, times = len(samples[0]), [], []
    for begin in range(0, count, batch_size):
        places = np.minimum(np.arange(begin, begin + batch_size), count - 1)
        one = {f"x{k}": array[places] for k, array in enumerate(samples) if f"x{k}" in taken}
        start = time.perf_counter()
        rows.append(session.run(None, one))
        times.append(time.perf_counter() - start)
    return [np.concatenate(column)[:count] for column in zip(*rows, strict=True)], float(np.median(times) * 1e3)
