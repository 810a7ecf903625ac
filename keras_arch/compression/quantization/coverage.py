"""Which tensors of a model are rounded: rules about what layers do, no list of their classes."""

import math
from collections.abc import Callable, Collection

import keras
import numpy as np
from keras import ops

from keras_arch.compression.clone import copy_of
from keras_arch.compression.graph import Graph
from keras_arch.compression.quantization.layer import Placement, kernels_of

PROBE_SIZE = 3
PROBE_VALUES = 512


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


KNOWN_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "softmax": _softmax,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}
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


def recognise(function: Callable, shape: tuple[int | None, ...] = (None, 9)) -> str | None:
    """Name of the known activation that a function computes, judged by its values.

    Args:
        function: maps a tensor to a tensor.
        shape: shape of its input; unknown sizes are tried small.
    Returns:
        "linear", "relu", "relu6", "softmax", "sigmoid", "tanh" or None.

    >>> recognise(keras.layers.ReLU(max_value=6.0))
    'relu6'
    """
    x = np.random.default_rng(0).uniform(-9, 9, _small(shape)).astype("float32")
    y = _values(function, x)
    if y is None or y.shape != x.shape:
        return None
    for name, known in KNOWN_ACTIVATIONS.items():
        if np.allclose(y, known(x), rtol=1e-4, atol=1e-4):
            return name
    return None


def moves_values(layer: keras.Layer, shape: tuple[int | None, ...]) -> bool:
    """Whether a layer only picks, moves or repeats the values of its one input, or adds zeros.

    Such a layer (pooling by maximum, flatten, reshape, crop, pad, dropout at inference) leaves a rounded tensor on its
    grid. It is tried on distinct negative values, so ReLU, which zeroes them all, is none.

    >>> moves_values(keras.layers.MaxPooling2D(), (None, 4, 4, 2)), moves_values(keras.layers.ReLU(), (None, 4))
    (True, False)
    """
    if layer.weights:
        return False
    shape = _small(shape)
    x = -np.random.default_rng(0).permutation(int(np.prod(shape))).astype("float32").reshape(shape) - 1.0
    y = _values(copy_of(layer), x)
    return y is not None and bool(np.isin(y, np.append(x, 0.0)).all()) and bool((y != 0).any())


def separates_activation(layer: keras.Layer, shape: tuple[int | None, ...]) -> bool:
    """Whether a layer is its `activation` applied to the same layer without one, judged by its values.

    True for Dense(activation="gelu"), False for LSTM, whose `activation` works inside.

    >>> separates_activation(keras.layers.Dense(2, activation="gelu"), (None, 3))
    True
    """
    x = np.random.default_rng(0).uniform(-1, 1, _small(shape)).astype("float32")
    whole, bare = copy_of(layer), copy_of(layer, activation="linear")
    y = _values(whole, x)
    if y is None or _values(bare, x) is None:
        return False
    bare.set_weights(whole.get_weights())
    return np.allclose(y, _values(lambda x: layer.activation(bare(x)), x), rtol=1e-4, atol=1e-4)


def _small(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """A shape to try: unknown sizes are small, and the batch is large enough for some hundred values."""
    sizes = [PROBE_SIZE if size is None else size for size in shape[1:]]
    return (max(1, PROBE_VALUES // max(1, math.prod(sizes))), *sizes)


def _values(function: Callable, x: np.ndarray) -> np.ndarray | None:
    """What a function makes of `x`, None if it refuses it."""
    try:
        y = function(ops.convert_to_tensor(x))
    except Exception:  # any refusal of the trial value means "not recognised", which is the safe side
        return None
    return ops.convert_to_numpy(y) if ops.is_tensor(y) else None


class Coverage:
    """Decides the placement of every layer of a graph.

    Every tensor that enters a quantized layer is rounded once: by the layer that made it, or, where that is an
    excluded layer, a model input or a bare operation, by the layer that takes it. What LiteRT computes in one kernel
    is rounded at its end only: convolution, batch normalization, ReLU.

    Args:
        graph: the model's.
        excluded: names of layers to leave in float.
        bits: width of the activations.
    Attributes:
        placements: name to `Placement`; None for what needs no wrapper.
    """

    def __init__(self, graph: Graph, excluded: Collection[str], bits: int) -> None:
        self.graph, self.excluded, self.bits = graph, set(excluded), bits
        self.layers = {
            name: operation
            for name, operation in graph.operations.items()
            if isinstance(operation, keras.Layer) and graph.calls[name] and name not in self.excluded
        }
        self.shapes = {name: graph.calls[name][0][0].shape for name in self.layers}
        self.activations = {name: self._activation_of(name) for name in self.layers}
        self.state = {name: self._state_of(name) for name in graph.operations}
        self.placements = {name: self._place(name) for name in graph.operations}

    def _activation_of(self, name: str) -> str | None:
        """What a layer applies elementwise at its end: a known name, "linear", or None for anything else."""
        layer = self.layers[name]
        if not layer.weights:
            alone = len(self.graph.calls[name][0]) == 1
            return recognise(copy_of(layer), self.shapes[name]) if alone else "linear"
        activation = getattr(layer, "activation", None)
        return "linear" if activation is None else recognise(activation)

    def _state_of(self, name: str) -> str:
        """What an operation hands on: "float", values that are "rounded" or "moved", or "fused" into the next layer."""
        if name not in self.layers:
            return "float"
        alone = all(len(tensors) == 1 for tensors in self.graph.calls[name])
        if alone and moves_values(self.layers[name], self.shapes[name]):
            return "moved"
        return "fused" if self._is_fused_into_next(name) else "rounded"

    def _place(self, name: str) -> Placement | None:
        state, calls = self.state[name], self.graph.calls[name]
        if state == "float":
            return None
        taken = {i for tensors in calls for i, tensor in enumerate(tensors) if self.state[tensor.operation] == "float"}
        inputs = tuple(sorted(taken))
        if state == "moved" and not inputs:
            return None
        if len(calls) > 1:
            raise ValueError(
                f"model must use each layer once; received one that calls layer {name!r} {len(calls)} times. "
                f"Give each call a layer of its own, or leave it in float with exclude=[{name!r}]."
            )
        if isinstance(self.layers[name], keras.layers.BatchNormalization):
            self._refuse_lone_normalization(name)
        if state != "rounded":
            return Placement(inputs=inputs, outputs=())
        return Placement(
            inputs=inputs,
            outputs=self._outputs(name),
            before_activation=self._splits(name),
            output_range=fixed_range(self.activations[name], self.bits),
        )

    def _convolves(self, layer: keras.Layer) -> bool:
        """Whether LiteRT folds a batch normalization into this layer: kernels with a range for each channel do."""
        kernels = kernels_of(layer)
        return bool(kernels) and all(len(kernel.shape) >= 3 for kernel in kernels)

    def _refuse_lone_normalization(self, name: str) -> None:
        sources = [tensor.operation for tensors in self.graph.calls[name] for tensor in tensors]
        if all(self.state[source] == "fused" for source in sources):
            return
        raise ValueError(
            "model must have each BatchNormalization alone behind a convolution without activation, for only there "
            f"LiteRT runs it in integers; layer {name!r} follows {', '.join(map(repr, sources)) or 'an input'}. "
            f"Move it, or leave it in float with exclude=[{name!r}]."
        )

    def _splits(self, name: str) -> bool:
        """Whether LiteRT keeps the tensor before the layer's own activation, which is then rounded too."""
        layer = self.layers[name]
        own = bool(layer.weights) and getattr(layer, "activation", None) is not None
        kept = self.activations[name] not in ("linear", *FUSED_ACTIVATIONS)
        return own and kept and separates_activation(layer, self.shapes[name])

    def _outputs(self, name: str) -> tuple[int, ...]:
        every = (tensor for calls in self.graph.calls.values() for tensors in calls for tensor in tensors)
        return tuple(sorted({tensor.position for tensor in every if tensor.operation == name} | {0}))

    def _is_fused_into_next(self, name: str) -> bool:
        """Whether a layer feeds one layer only, which rounds in its place: LiteRT has no tensor of its own between."""
        layer, consumers = self.layers[name], self.graph.consumers(name)
        if len(consumers) != 1 or consumers[0] not in self.layers or self.graph.is_output(name, 0):
            return False
        follower = self.layers[consumers[0]]
        computes = bool(layer.weights) or len(self.graph.calls[name][0]) > 1
        if not computes or self.activations[name] != "linear":
            return False
        normalizes = isinstance(follower, keras.layers.BatchNormalization) and self._convolves(layer)
        rectifies = not follower.weights and self.activations[consumers[0]] in FUSED_ACTIVATIONS
        return normalizes or rectifies
