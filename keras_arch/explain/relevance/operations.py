"""Which operations of a traced graph have no rule."""

from typing import Any

import keras

# Operations that are homogeneous of degree one, or linear, in the operands at these places; all where none is named.
_LINEAR = {
    **dict.fromkeys(
        (
            *("Add", "AddN", "AddV2", "AvgPool", "AvgPool3D", "BatchToSpaceND", "BiasAdd", "BroadcastTo", "Cast"),
            *("ConcatV2", "Identity", "LeakyRelu", "Max", "MaxPool", "MaxPool3D", "MaxPoolV2", "Maximum", "Mean"),
            *("Min", "Minimum", "MirrorPad", "Neg", "Pack", "PadV2", "Pad", "PreventGradient", "Relu", "Reshape"),
            *("ResizeArea", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor", "Select", "SelectV2", "Slice"),
            *("SpaceToBatchND", "Split", "SplitV", "Squeeze", "StridedSlice", "Sub", "Sum", "Tile", "Transpose"),
            *(
                "Unpack",
                "GatherV2",
                "GatherNd",
                "ExpandDims",
                "ReverseV2",
                "Roll",
                "Cumsum",
                "ScatterNd",
                "Abs",
                "Diag",
            ),
            *("SpaceToDepth", "DepthToSpace", "MatrixDiagV3", "MatrixBandPart", "InvertPermutation", "Snapshot"),
        ),
        False,
    ),
    **dict.fromkeys(
        (
            *("BatchMatMulV2", "BatchMatMulV3", "Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2"),
            *("DepthwiseConv2dNative", "DepthwiseConv2dNativeBackpropInput", "DivNoNan", "Einsum", "MatMul", "Mul"),
            *("MulNoNan", "RealDiv"),
        ),
        True,
    ),
}
_DIVISIONS = ("DivNoNan", "RealDiv")


def without_a_rule(outputs: Any, inputs: Any) -> None:
    """Raise if gradients flow between tensors of a traced graph through an operation that is not linear.

    Args:
        outputs: structure of tensors of a graph of TensorFlow.
        inputs: structure of tensors that they were computed from.
    Raises:
        ValueError: with the names and kinds of these operations.
    """
    starts = {leaf.op.name for leaf in keras.tree.flatten(inputs)}
    depends = _dependent([leaf.op for leaf in keras.tree.flatten(outputs)], starts)
    wrong = []
    for operation in depends.values():
        places = [
            place
            for place, tensor in enumerate(operation.inputs)
            if tensor.op.name in depends or tensor.op.name in starts
        ]
        bilinear = _LINEAR.get(operation.type)
        is_wrong = bilinear is None or (
            bilinear and (len(places) > 1 or (operation.type in _DIVISIONS and places != [0]))
        )
        if is_wrong:
            wrong.append(f"{operation.name} ({operation.type})")
    if wrong:
        raise ValueError(
            f"model must be made of operations that relevance has rules for; these have none: {', '.join(wrong[:6])}"
            f"{' ...' if len(wrong) > 6 else ''}. Use layers of Keras for them (a layer's name is in the name of its "
            "operations), or explain with IntegratedGradients."
        )


def _dependent(ends: list, starts: set[str]) -> dict[str, Any]:
    """Operations after the starts and up to the ends that gradients flow through, by name."""
    reached = dict.fromkeys(starts, True)
    found = {}
    stack = [(operation, False) for operation in ends]
    while stack:
        operation, is_done = stack.pop()
        if is_done:
            reached[operation.name] = any(reached[tensor.op.name] for tensor in operation.inputs)
            if reached[operation.name]:
                found[operation.name] = operation
        elif operation.name not in reached:
            reached[operation.name] = False
            if operation.type != "StopGradient":
                stack.append((operation, True))
                stack.extend((tensor.op, False) for tensor in operation.inputs)
    return found
