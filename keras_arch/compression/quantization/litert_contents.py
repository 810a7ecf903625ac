"""What the bytes of a LiteRT file hold, read without running them; and two repairs of them."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from tensorflow.lite.tools import flatbuffer_utils

from keras_arch.compression.quantization.kernel_grid import narrowed

# Which inputs of an operation are kernels; everywhere else a constant is an addend, a factor or an index.
KERNEL_INPUTS = {
    "BATCH_MATMUL": (1,),
    "CONV_2D": (1,),
    "CONV_3D": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "EMBEDDING_LOOKUP": (1,),
    "FULLY_CONNECTED": (1,),
    "GATHER": (0,),
    "TRANSPOSE_CONV": (1,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (1, 2, 3, 4, 5, 6, 7, 8),
}
# Type of a kernel to its largest integer and the widths stored in it, the coarsest first; those of WHOLE as they are.
CONTAINERS = {"INT4": (7, (2, 3, 4)), "INT8": (127, (5, 6, 7, 8))}
WHOLE = (2, 4, 8)
BIASED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file: its type in lower case, such as "int4", and whether its values are in the file."""

    name: str
    type: str
    shape: tuple[int, ...]
    constant: bool

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))


@dataclasses.dataclass(frozen=True)
class StoredOperation:
    """One operation of a file; None for an input left out."""

    name: str
    inputs: tuple[StoredTensor | None, ...]
    outputs: tuple[StoredTensor, ...]


@dataclasses.dataclass(frozen=True)
class Contents:
    """The operations of a file: those of its main graph, and those of the bodies of loops and branches."""

    main: tuple[StoredOperation, ...]
    inner: tuple[StoredOperation, ...]

    def kernels(self) -> list[tuple[str, StoredTensor]]:
        """Every constant kernel with the name of the operation that takes it, once for each use.

        A kernel that is turned into float before it is used, as float16 ones are, is given as it is stored.
        """
        operations = (*self.main, *self.inner)
        stored = {op.outputs[0]: op.inputs[0] for op in operations if op.name == "DEQUANTIZE" and op.inputs[0].constant}
        found = []
        for op in operations:
            places = [place for place in KERNEL_INPUTS.get(op.name, ()) if place < len(op.inputs)]
            taken = [stored.get(op.inputs[place], op.inputs[place]) for place in places]
            found += [(op.name, tensor) for tensor in taken if tensor and tensor.constant and len(tensor.shape) >= 2]
        return found


def read(content: bytes) -> Contents:
    """Take the bytes of a LiteRT file apart.

    Args:
        content: the file's bytes.
    """
    model = _parsed(content)
    main, *others = [tuple(_operations(model, graph)) for graph in model.subgraphs]
    return Contents(main, tuple(op for operations in others for op in operations))


def widen_biases(content: bytes) -> bytes:
    """Store the biases of 16-bit operations in 64 bits.

    LiteRT's 16-bit kernels read 64-bit biases. TensorFlow 2.21 writes 32-bit ones where fake quantization makes the
    activations 16-bit: depthwise convolution then refuses to run, and the others compute with wrong biases.

    Args:
        content: the bytes that the converter returned.
    Returns:
        The bytes with the same values, biases wider.
    """
    model = _parsed(content)
    widened = set()
    kinds = flatbuffer_utils.schema_fb.TensorType
    for graph in model.subgraphs:
        for op in graph.operators:
            if flatbuffer_utils.opcode_to_name(model, op.opcodeIndex) not in BIASED or op.inputs[-1] < 0:
                continue
            taken, bias = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[-1]]
            if (taken.type, bias.type) != (kinds.INT16, kinds.INT32):
                continue
            bias.type = kinds.INT64
            if bias.buffer not in widened:
                buffer = model.buffers[bias.buffer]
                narrow = np.frombuffer(bytes(bytearray(buffer.data)), "<i4")
                buffer.data = np.frombuffer(narrow.astype("<i8").tobytes(), np.uint8)
                widened.add(bias.buffer)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def narrow_kernels(content: bytes, widths: Mapping[int, Collection[int]]) -> bytes:
    """Store kernels of 3, 5, 6 and 7 bits on their own grid.

    TensorFlow 2.21 writes kernels with the largest integer 7 or 127, whatever the width of the grid that their values
    lie on: those of 6 bits, -31 .. 31, are stretched by 127 / 31 and rounded again. Here they become -31 .. 31, with a
    scale that is as much larger: the values that they were trained to.

    Args:
        content: the bytes that the converter returned.
        widths: how many values a kernel has to the bits that such kernels of the model have. A kernel takes the
            coarsest grid among them that holds its integers.
    Raises:
        RuntimeError: for a kernel whose integers are on none of these grids.
    """
    model, changed = _parsed(content), False
    names = flatbuffer_utils.type_to_name
    for graph in model.subgraphs:
        stretched: dict[int, Any] = {}  # a kernel that several operations take is stored once
        for op in graph.operators or ():
            name = flatbuffer_utils.opcode_to_name(model, op.opcodeIndex)
            for place in KERNEL_INPUTS.get(name, (0,) if name == "DEQUANTIZE" else ()):
                index = int(op.inputs[place]) if place < len(op.inputs) else -1
                tensor = graph.tensors[index]
                size = int(np.prod(tensor.shape))
                if index < 0 or names(tensor.type) not in CONTAINERS or not _has_values(model, tensor):
                    continue
                if index not in stretched:
                    stretched[index] = _narrow(model, tensor, widths.get(size, ()), name)
                if stretched[index] != 1 and name in BIASED and op.inputs[-1] >= 0:
                    _stretch_bias(model, graph.tensors[op.inputs[-1]], tensor, graph.tensors[op.inputs[0]])
        changed = changed or any(factor != 1 for factor in stretched.values())
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model)) if changed else content


def _has_values(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _narrow(model: Any, tensor: Any, widths: Collection[int], name: str) -> float:
    """Store one kernel on the coarsest grid of its container that holds it: by how much its scale grew."""
    widest, bits = CONTAINERS[flatbuffer_utils.type_to_name(tensor.type)]
    possible = [width for width in bits if width in widths]
    if all(width in WHOLE for width in possible):
        return 1.0
    integers = _integers(model, tensor)
    for width in possible:
        found = narrowed(integers, widest, width)
        if found is not None and width in WHOLE:
            return 1.0
        if found is not None:
            factor = widest / (2 ** (width - 1) - 1)
            tensor.quantization.scale = np.float32(np.float64(tensor.quantization.scale) * factor)
            _store(model, tensor, _packed(found) if widest == 7 else found)
            return factor
    raise RuntimeError(
        f"the kernel of {name} with shape {tuple(map(int, tensor.shape))} is not on a grid of "
        f"{' or '.join(map(str, possible))} bits, so the file was not written. Train with quantize(model, weights=8)."
    )


def _integers(model: Any, tensor: Any) -> np.ndarray:
    """The values of an int8 or int4 tensor, flat."""
    raw = np.frombuffer(bytes(bytearray(model.buffers[tensor.buffer].data)), np.int8)
    if flatbuffer_utils.type_to_name(tensor.type) == "INT4":  # two in a byte, the low half first
        raw = np.stack([(raw << 4).astype(np.int8) >> 4, raw >> 4], axis=1).ravel()
    return raw[: int(np.prod(tensor.shape))]


def _packed(integers: np.ndarray) -> np.ndarray:
    """Integers of 4 bits, two in a byte."""
    even = np.append(integers, np.zeros(len(integers) % 2, "int8")).astype("int8")
    return ((even[::2] & 15) | (even[1::2] << 4)).astype("int8")


def _stretch_bias(model: Any, bias: Any, kernel: Any, taken: Any) -> None:
    """Store a bias with the scale that its kernel has now: that of the product of both factors."""
    scale = np.float32(np.float64(taken.quantization.scale) * np.float64(kernel.quantization.scale))
    before = np.asarray(bias.quantization.scale, "float64")
    kind = {"INT32": "<i4", "INT64": "<i8"}[flatbuffer_utils.type_to_name(bias.type)]
    values = np.frombuffer(bytes(bytearray(model.buffers[bias.buffer].data)), kind)
    _store(model, bias, np.round(values * (before / scale)).astype(kind))
    bias.quantization.scale = scale


def _store(model: Any, tensor: Any, values: np.ndarray) -> None:
    """Give a tensor a buffer of its own, since equal values of other tensors may lie in the same one."""
    old = tensor.buffer
    buffer = flatbuffer_utils.schema_fb.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
    if not any(other.buffer == old for graph in model.subgraphs for other in graph.tensors):
        model.buffers[old].data = None


def _parsed(content: bytes) -> Any:
    """The file as TensorFlow's own objects.

    `tensorflow.lite.tools` is not documented; seen in TensorFlow 2.21. The interpreter shows no 4-bit types.
    """
    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def _operations(model: Any, graph: Any) -> list[StoredOperation]:
    tensors = [_tensor(model, tensor) for tensor in graph.tensors]
    return [
        StoredOperation(
            flatbuffer_utils.opcode_to_name(model, op.opcodeIndex),
            tuple(tensors[i] if i >= 0 else None for i in _indices(op.inputs)),
            tuple(tensors[i] for i in _indices(op.outputs)),
        )
        for op in graph.operators or ()
    ]


def _indices(stored: Any) -> list[int]:
    return [] if stored is None else [int(i) for i in stored]


def _tensor(model: Any, tensor: Any) -> StoredTensor:
    data = model.buffers[tensor.buffer].data
    return StoredTensor(
        name="" if tensor.name is None else tensor.name.decode(),
        type=flatbuffer_utils.type_to_name(tensor.type).lower(),
        shape=tuple(_indices(tensor.shape)),
        constant=data is not None and len(data) > 0,
    )
