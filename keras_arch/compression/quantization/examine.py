"""What a written LiteRT file is and computes: types against what was asked, values against the Keras model."""

import collections
import gzip
import re

import keras
import numpy as np

from keras_arch.compression.quantization import litert, litert_contents
from keras_arch.compression.quantization.litert_contents import Contents, StoredTensor
from keras_arch.compression.quantization.modes import SMALLEST_DYNAMIC_KERNEL, Mode
from keras_arch.compression.quantization.output_gaps import output_gaps
from keras_arch.compression.quantization.phase import quantized_layers
from keras_arch.compression.quantization.quantize import left_in_float
from keras_arch.compression.quantization_report import FloatOperation, LiteRTFile

BORDER_OPERATIONS = ("QUANTIZE", "DEQUANTIZE")
FLOATS = ("float32", "float16", "float64", "bfloat16")
INDICES = ("int32", "int64", "bool")


def examine(model: keras.Model, content: bytes, samples: list[np.ndarray], path: str, mode: Mode) -> LiteRTFile:
    """Read LiteRT bytes back, check their types, run them on samples, and compare with the Keras model.

    Args:
        model: the model they were converted from.
        content: what `litert.convert` returned.
        samples: one array for each input.
        path: where the bytes will stand, for the report.
        mode: what was asked for.
    Raises:
        RuntimeError: if a tensor has another type than was asked for, or the file does not run.
    """
    contents = litert_contents.read(content)
    float_ops = explained(model, contents) if mode.integer else ()
    refuse_wrong_types(contents, mode, float_ops)
    outputs, latency, batch_size = _run(content, samples)
    return LiteRTFile(
        path=path,
        bytes=len(content),
        bytes_gzipped=len(gzip.compress(content, 9)),
        float_weight_bytes=sum(4 * int(np.prod(weight.shape)) for weight in _inner_weights(model)),
        kernel_types=dict(collections.Counter(kernel.type for _, kernel in contents.kernels())),
        float_ops=float_ops,
        outputs=output_gaps(model, samples, outputs),
        latency_ms=latency,
        samples=len(samples[0]),
        mode=mode.name,
        activation_types=dict(collections.Counter(tensor.type for _, tensor in _activations(contents))),
        batch_size=batch_size,
    )


def explained(model: keras.Model, contents: Contents) -> tuple[FloatOperation, ...]:
    """The operations of a file that compute in float, each with the reason.

    Raises:
        RuntimeError: if nobody asked for one of them.
    """
    found = [(name, tensor, _reason(model, tensor.name)) for name, tensor in _activations(contents)]
    floats = [(name, tensor, reason) for name, tensor, reason in found if tensor.type in FLOATS]
    unasked = [f"{name} at {tensor.name!r}" for name, tensor, reason in floats if reason is None]
    if unasked:
        raise RuntimeError(
            f"the file is not all integer, so it was not written: LiteRT has no integer form of {'; '.join(unasked)}. "
            "Replace these layers, or leave them in float with quantize(model, exclude=[...])."
        )
    return tuple(FloatOperation(name, reason) for name, _, reason in floats)


def refuse_wrong_types(contents: Contents, mode: Mode, float_ops: tuple[FloatOperation, ...] = ()) -> None:
    """Raise unless every kernel and activation of a file has a type that was asked for.

    Args:
        contents: what `litert_contents.read` returned.
        mode: what was asked for.
        float_ops: operations left in float on purpose, whose tensors are float.
    """
    left = FLOATS if float_ops else ()
    kernels = contents.kernels()
    wrong = [
        f"the kernel of {name} with shape {kernel.shape} is {kernel.type}"
        for name, kernel in kernels
        if not (kernel.type in mode.kernels or kernel.type in left or _too_small(kernel, mode))
    ]
    wrong += [
        f"the output of {name} at {tensor.name!r} is {tensor.type}"
        for name, tensor in _activations(contents)
        if not (tensor.type in mode.activations or tensor.type in left)
    ]
    wrong += [
        f"the kernel of {op.name} at {op.outputs[0].name!r} is int4, which LiteRT computes wrongly with int16 inputs"
        for op in contents.main
        if op.name == "DEPTHWISE_CONV_2D" and (op.inputs[1].type, op.inputs[0].type) == ("int4", "int16")
    ]
    if mode.name == "dynamic" and all(kernel.type == "float32" for _, kernel in kernels):
        wrong.append(f"no kernel has the {SMALLEST_DYNAMIC_KERNEL} values that the converter quantizes from")
    if wrong:
        raise RuntimeError(
            f"the file is not what mode {mode.name!r} asks for, so it was not written: {'; '.join(wrong)}. "
            "Leave these layers in float with quantize(model, exclude=[...]), or export in another mode."
        )


def _too_small(kernel: StoredTensor, mode: Mode) -> bool:
    return mode.name == "dynamic" and kernel.type == "float32" and kernel.size < SMALLEST_DYNAMIC_KERNEL


def _activations(contents: Contents) -> list[tuple[str, StoredTensor]]:
    """Every tensor of the main graph that an operation computes, with its name; sizes, indices and borders left out."""
    return [
        (op.name, tensor)
        for op in contents.main
        # What is picked from a constant is still part of that kernel.
        if op.name != "DEQUANTIZE" and not (op.name == "GATHER" and op.inputs[0].constant)
        for tensor in op.outputs
        if tensor.type not in INDICES
    ]


def _reason(model: keras.Model, output: str) -> str | None:
    """Why an operation of the file is in float, by the name that TensorFlow gave its output; None if unasked."""
    # TensorFlow and Keras make names unique by numbers at their end; names of operations that became one are joined.
    names = [[re.sub(r"(_\d+)+$", "", part) for part in name.split("/")] for name in output.split(";")]
    for path, reason in left_in_float(model).items():
        parts = [re.sub(r"(_\d+)+$", "", part) for part in path.split("/")]
        if any(parts == name[at : at + len(parts)] for name in names for at in range(len(name))):
            return f"layer {path!r}: {reason}"
    return None


def _inner_weights(model: keras.Model) -> list[keras.Variable]:
    """The weights that the float model has, without ranges and learned steps."""
    inner = [layer.layer for _, layer in quantized_layers(model)]
    added = {id(weight) for _, layer in quantized_layers(model) for weight in layer.weights}
    added -= {id(weight) for layer in inner for weight in layer.weights}
    return [weight for weight in model.weights if id(weight) not in added]


def _run(content: bytes, samples: list[np.ndarray]) -> tuple[list[np.ndarray], float, int]:
    """(one array for each output, median milliseconds of a call, samples in a call)."""
    times: list[float] = []
    given = {f"x{k}": array for k, array in enumerate(samples)}
    try:
        outputs = litert.run_file(content, given, times)
    except RuntimeError as error:
        raise RuntimeError(
            f"the file does not run, so it was not written: {str(error).strip()[-300:]}. Leave the layer that it names "
            "in float with quantize(model, exclude=[...])."
        ) from error
    ordered = [outputs[f"y{k}"] for k in range(len(outputs))]
    return ordered, float(np.median(times) * 1e3), next(iter(litert.inputs_of(content).values()))[0][0]
