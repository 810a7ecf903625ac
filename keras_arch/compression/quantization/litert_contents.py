"""What the bytes of a LiteRT file hold, read without running them; and one repair of them."""

import dataclasses
from typing import Any

import numpy as np
from tensorflow.lite.tools import flatbuffer_utils

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
