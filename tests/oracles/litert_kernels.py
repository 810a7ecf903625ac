"""The int8 kernels of a LiteRT file, taken from its bytes by their layout, apart from the package."""

import dataclasses

import numpy as np
from tensorflow.lite.tools import flatbuffer_utils


@dataclasses.dataclass(frozen=True)
class StoredKernel:
    """integers: int8, output channels first; scales and zero_points: one, or one for each channel."""

    integers: np.ndarray
    scales: np.ndarray
    zero_points: np.ndarray


def stored_kernels(content):
    """Kernels of the convolutions and products of a file's main graph, in the order of its operations."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph, found = model.subgraphs[0], []
    for operation in graph.operators:
        if flatbuffer_utils.opcode_to_name(model, operation.opcodeIndex) in ("CONV_2D", "FULLY_CONNECTED"):
            tensor = graph.tensors[operation.inputs[1]]
            assert flatbuffer_utils.type_to_name(tensor.type) == "INT8"
            data = np.frombuffer(bytes(bytearray(model.buffers[tensor.buffer].data)), np.int8)
            # A Dense kernel (I, O) is stored as (O, I); a convolution's (H, W, I, O) as (O, H, W, I).
            kernel = data.reshape(tensor.shape)
            found.append(
                StoredKernel(kernel, np.array(tensor.quantization.scale), np.array(tensor.quantization.zeroPoint))
            )
    return found
