"""Which tensors of a model are rounded: rules about what layers do, no list of their classes."""

from collections.abc import Callable, Collection
from typing import Any

import keras

from keras_arch.compression.graph import Graph
from keras_arch.compression.quantization.kernels import kernels_of
from keras_arch.compression.quantization.layer import Placement
from keras_arch.compression.quantization.trials import (
    fresh,
    has_offset,
    is_elementwise,
    is_joining,
    is_one_product,
    moves_values,
    recognise,
    separates_activation,
)

# LiteRT computes these on the layer before, in its own rounding.
FUSED_ACTIVATIONS = ("relu", "relu6")


def fixed_range(activation: str | None, bits: int) -> tuple[float, float] | None:
    """The output range that LiteRT prescribes for an activation, None where it follows the data.

    softmax, sigmoid: [0, 1 - 2**-bits];  tanh: [-1, 1 - 2**(1 - bits)].

    >>> fixed_range("softmax", 8)
    (0.0, 0.99609375)
    """
    if activation in ("softmax", "sigmoid"):
        return 0.0, 1.0 - 2.0**-bits
    if activation == "tanh":
        return -1.0, 1.0 - 2.0 ** (1 - bits)
    return None


class Coverage:
    """Decides the placement of every layer and bare operation of a graph.

    Every tensor that enters quantized arithmetic is rounded once: by what made it, or, where that is an excluded layer
    or a model input, by what takes it. What LiteRT computes in one kernel is rounded at its end only: convolution,
    batch normalization, ReLU. A layer that no one product of integers can stand for, such as a layer normalization, is
    rounded at its ends and computes in float inside; its placement says why.

    Args:
        graph: the model's.
        excluded: paths of layers to leave in float, with all that is inside them.
        bits: width of the activations: one number, or a function of the path.
    Attributes:
        placements: path to `Placement`; None for what needs no wrapper.
    """

    def __init__(self, graph: Graph, excluded: Collection[str], bits: int | Callable[[str], int]) -> None:
        self.graph, self.bits = graph, bits if callable(bits) else lambda name: bits
        self.calculations = {
            name: operation
            for name, operation in graph.operations.items()
            if graph.calls[name] and not isinstance(operation, keras.Model) and not _is_in(name, excluded)
        }
        every = [tensor for calls in graph.calls.values() for tensors in calls for tensor in tensors]
        self.types = {(tensor.operation, tensor.position): tensor.dtype for tensor in every}
        self.shapes = {name: graph.calls[name][0][0].shape for name in self.calculations}
        self.activations = {name: self._activation_of(name) for name in self.calculations}
        self.state = {name: self._state_of(name) for name in graph.operations}
        self.placements = {name: self._place(name) for name in graph.operations}

    def _alone(self, name: str) -> bool:
        """Whether an operation takes one tensor in each call, and nothing else."""
        return all(len(tensors) == 1 for tensors in self.graph.calls[name]) and not any(self.graph.options[name])

    def _activation_of(self, name: str) -> str | None:
        """What a layer applies elementwise at its end: a known name, "linear", or None for anything else."""
        operation = self.calculations[name]
        if not _has_weights(operation):
            alone = len(self.graph.calls[name][0]) == 1
            return recognise(fresh(operation), self.shapes[name]) if alone else "linear"
        activation = getattr(operation, "activation", None)
        return "linear" if activation is None else recognise(activation)

    def _state_of(self, name: str) -> str:
        """What an operation hands on: "float", values that are "rounded" or "moved", or "fused" into the next layer."""
        if name not in self.calculations or not _is_float(self.types.get((name, 0), "float32")):
            return "float"
        if self._alone(name) and moves_values(self.calculations[name], self.shapes[name]):
            return "moved"
        return "fused" if self._is_fused_into_next(name) else "rounded"

    def _place(self, name: str) -> Placement | None:
        state, calls = self.state[name], self.graph.calls[name]
        if state == "float":
            return None
        taken = {
            i
            for tensors in calls
            for i, tensor in enumerate(tensors)
            if self.state[tensor.operation] == "float" and _is_float(tensor.dtype)
        }
        inputs = tuple(sorted(taken))
        if state == "moved" and not inputs:
            return None
        reason = self._reason_for_float(name)
        if state != "rounded":
            return Placement(inputs=inputs, outputs=(), in_float=reason)
        return Placement(
            inputs=inputs,
            outputs=self._outputs(name),
            before_activation=self._splits(name),
            output_range=fixed_range(self.activations[name], self.bits(name)),
            in_float=reason,
        )

    def _reason_for_float(self, name: str) -> str | None:
        """Why LiteRT computes a layer in float between its rounded ends; None where it computes integers."""
        operation, shape = self.calculations[name], self.shapes[name]
        if not isinstance(operation, keras.Layer) or not _is_float(self.graph.calls[name][0][0].dtype):
            return None
        if isinstance(operation, keras.layers.BatchNormalization):
            sources = [tensor.operation for tensors in self.graph.calls[name] for tensor in tensors]
            folded = all(self.state[source] == "fused" for source in sources)
            return None if folded else "it is not alone behind a convolution without activation, where it would fold"
        weighted = _has_weights(operation)
        if not self._alone(name):
            return "it takes more than one tensor and was not written out as its parts" if weighted else None
        product = (weighted or self.activations[name] is None) and is_one_product(operation, shape)
        if weighted and not product:
            return "it is more than one product with its kernel"
        if product and not kernels_of(operation) and has_offset(operation, shape):
            return "it has no kernel, but a scale and an offset, which are two operations"
        return None

    def _convolves(self, layer: keras.Layer) -> bool:
        """Whether LiteRT folds a batch normalization into this layer: kernels with a range for each channel do."""
        kernels = kernels_of(layer) if isinstance(layer, keras.Layer) else []
        return bool(kernels) and all(len(kernel.shape) >= 4 for kernel in kernels)

    def _splits(self, name: str) -> bool:
        """Whether LiteRT keeps the tensor before the layer's own activation, which is then rounded too."""
        layer = self.calculations[name]
        own = _has_weights(layer) and getattr(layer, "activation", None) is not None
        kept = self.activations[name] not in ("linear", *FUSED_ACTIVATIONS)
        return own and kept and self._alone(name) and separates_activation(layer, self.shapes[name])

    def _outputs(self, name: str) -> tuple[int, ...]:
        used = {position for operation, position in self.types if operation == name} | {0}
        return tuple(sorted(place for place in used if _is_float(self.types.get((name, place), "float32"))))

    def _is_fused_into_next(self, name: str) -> bool:
        """Whether a layer feeds one layer only, which rounds in its place: LiteRT has no tensor of its own between."""
        calls = range(len(self.graph.calls[name]))
        consumers = [self.graph.consumers(name, call) for call in calls]
        followers = {follower for each in consumers for follower in each}
        once = all(len(each) == 1 for each in consumers)
        if not once or len(followers) != 1 or any(self.graph.is_output(name, call) for call in calls):
            return False
        [follower] = followers
        if follower not in self.calculations or len(self.graph.calls[follower]) > 1:
            return False
        operation, next_one = self.calculations[name], self.calculations[follower]
        several = len(self.graph.calls[name][0]) > 1
        if not _has_weights(next_one) and len(self.graph.calls[follower][0]) > 1:
            # LiteRT gives what is put together one scale.
            activated = self.activations[name] in ("linear", *FUSED_ACTIVATIONS)
            return activated and is_joining(next_one) and (not several or is_elementwise(operation))
        if len(calls) > 1 or self.activations[name] != "linear":
            return False
        normalizes = isinstance(next_one, keras.layers.BatchNormalization) and self._convolves(operation)
        rectifies = not _has_weights(next_one) and self.activations[follower] in FUSED_ACTIVATIONS
        computes = _has_weights(operation) or (several and is_elementwise(operation))
        return computes and (normalizes or rectifies)


def _is_in(name: str, paths: Collection[str]) -> bool:
    return any(name == path or name.startswith(f"{path}/") for path in paths)


def _is_float(dtype: str) -> bool:
    return keras.backend.is_float_dtype(dtype)


def _has_weights(operation: Any) -> bool:
    return bool(getattr(operation, "weights", ()))
