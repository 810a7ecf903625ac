"""Following channels through a graph: which go together, which never vary, which may not go."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_arch.compression.graph import Graph, Tensor
from keras_arch.compression.pruning.shrinking import joining
from keras_arch.compression.pruning.shrinking.channels import Channels, Units, UntraceableError, varying
from keras_arch.compression.pruning.shrinking.gating import Gating, gates
from keras_arch.compression.pruning.shrinking.mixing import MIXING, Mixing
from keras_arch.compression.pruning.shrinking.passing import PASSING, Passing

OUTPUT = "the model returns it"
INPUT = "it is an input of the model"


class Trace:
    """What is known of every channel of a model.

    Channels of what no rule covers are fixed: they stay, whatever their weights are, and `untraced` says why.

    Args:
        graph: the graph of a built model.

    Attributes:
        units: all channels, joined and fixed.
        rules: layer name to `Mixing`, `Passing` or `Gating`, for the layers whose weights can be cut.
        inputs: layer name to the channels of what it takes, one entry for each call; for the layers in `rules`.
        outputs: layer name to the channels of what it gives, likewise.
        tensors: channels of every tensor, by operation, call and position.
        untraced: name to the reason why the channels that a layer takes and gives are kept.

    >>> from keras_arch.compression.graph import graph_of
    >>> from keras_arch.compression.pruning.shrinking.trace import Trace
    >>> layers = [keras.Input((2,)), keras.layers.Dense(3), keras.layers.LayerNormalization(name="norm")]
    >>> Trace(graph_of(keras.Sequential(layers))).untraced
    {'norm': 'LayerNormalization is not known to keep channels apart'}
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.units = Units()
        self.rules: dict[str, Mixing | Passing | Gating] = {}
        self.inputs: dict[str, list[Channels]] = {}
        self.outputs: dict[str, list[Channels]] = {}
        self.tensors: dict[tuple[str, int, int], Channels] = {}
        self.untraced: dict[str, str] = {}
        for name, calls in graph.calls.items():
            if calls:
                self._choose_rule(name)
        self._walk()
        for operation, call, position in graph.outputs:
            if (operation, call, position) in self.tensors:
                self.units.fix(self.tensors[operation, call, position].units, OUTPUT)

    def values_read(self, name: str) -> np.ndarray:
        """Values of a layer's input channels where all its calls agree, NaN elsewhere."""
        first, *others = (channels.values for channels in self.inputs[name])
        for values in others:
            first = np.where(first == values, first, np.nan)
        return first

    def _choose_rule(self, name: str) -> None:
        operation, calls = self.graph.operations[name], self.graph.calls[name]
        kind = type(operation).__name__
        try:
            if any(len(tensor.shape) < 2 or tensor.shape[-1] is None for call in calls for tensor in call):
                raise UntraceableError("it takes a tensor without an axis of channels of known size")
            if any(self.graph.options[name]) and not joining.takes_number(operation, calls, self.graph.options[name]):
                given = ", ".join(str(value) for call in self.graph.options[name] for value in call)
                raise UntraceableError(f"it is called with {given} beside tensors")
            if isinstance(operation, keras.Model):
                raise UntraceableError("it is a model inside the model, shared, or one without a graph")
            if type(operation) in (*MIXING, *PASSING, keras.layers.Flatten) or gates(operation):
                ranks = {len(call[0].shape) for call in calls}
                if any(len(call) != 1 for call in calls) or len(ranks) > 1:
                    raise UntraceableError("it takes several tensors, or tensors of several ranks")
                if isinstance(operation, keras.layers.Reshape) and not _keeps_last_axis(operation, calls[0][0]):
                    raise UntraceableError("it mixes channels with other axes")
                if type(operation) in MIXING:
                    self.rules[name] = Mixing(operation)
                elif type(operation) in PASSING:
                    self.rules[name] = Passing(operation, ranks.pop())
                elif gates(operation):
                    self.rules[name] = Gating(operation)
            elif type(operation) is not keras.layers.Concatenate and joining.merging(operation) is None:
                raise UntraceableError(f"{kind} is not known to keep channels apart")
        except UntraceableError as reason:
            self.untraced[name] = str(reason)

    def _walk(self) -> None:
        """Visit each call after the calls it takes tensors from; a shared layer may be called early and late."""
        waiting = [(name, call) for name, calls in self.graph.calls.items() for call in range(len(calls))]
        done = {(name, 0) for name, calls in self.graph.calls.items() if not calls}
        while waiting:
            later = []
            for name, call in waiting:
                tensors = self.graph.calls[name][call]
                if all((tensor.operation, tensor.call) in done for tensor in tensors):
                    self._visit(name, call, tensors)
                    done.add((name, call))
                else:
                    later.append((name, call))
            waiting = later

    def _visit(self, name: str, call: int, tensors: Sequence[Tensor]) -> None:
        inputs = [self._channels(tensor) for tensor in tensors]
        if name not in self.untraced:
            try:
                self.tensors[name, call, 0] = self._apply(name, call, inputs, tensors)
                return
            except UntraceableError as reason:
                self.untraced[name] = str(reason)
        for channels in inputs:
            self.units.fix(channels.units, f"{name!r} reads it, and {self.untraced[name]}")

    def _channels(self, tensor: Tensor) -> Channels:
        """Channels of a tensor, fixed if no rule made them. A tensor without an axis of channels has none."""
        key = (tensor.operation, tensor.call, tensor.position)
        if key not in self.tensors:
            size = tensor.shape[-1] if len(tensor.shape) > 1 else None
            self.tensors[key] = varying(self.units.new(size or 0))
            reason = self.untraced.get(tensor.operation)
            reason = INPUT if reason is None else f"{tensor.operation!r} makes it, and {reason}"
            self.units.fix(self.tensors[key].units, reason)
        return self.tensors[key]

    def _apply(self, name: str, call: int, inputs: list[Channels], tensors: Sequence[Tensor]) -> Channels:
        operation, rule = self.graph.operations[name], self.rules.get(name)
        if rule is None:
            if isinstance(operation, keras.layers.Flatten):
                return joining.flattened(operation, inputs[0], tensors[0])
            if isinstance(operation, keras.layers.Concatenate):
                return joining.concatenated(operation, inputs, tensors, self.units)
            together = joining.merging(operation)
            if self.graph.options[name][call]:
                [number], [channels] = self.graph.options[name][call], inputs
                return Channels(channels.units, together([channels.values, np.full(channels.size, float(number))]))
            return joining.merged(operation, inputs, tensors, together, self.units)
        known = self.inputs.setdefault(name, [])
        known.append(inputs[0])
        if isinstance(rule, Mixing) or rule.weights:
            self.units.join(known[0].units, inputs[0].units)
        output = self._mixed(name, rule, inputs[0]) if isinstance(rule, Mixing) else rule(inputs[0])
        self.outputs.setdefault(name, []).append(output)
        return output

    def _mixed(self, name: str, rule: Mixing, channels: Channels) -> Channels:
        """Channels of a weighted sum: constant where no varying input has a weight."""
        units = self.outputs[name][0].units if name in self.outputs else self.units.new(rule.filters)
        steady = rule.constants_pass(channels.values)
        sums = rule.bias + rule.contribution(np.where(steady, channels.values, np.nan))
        sums = np.where(rule.depends[~steady].any(axis=0), np.nan, sums)
        try:
            return Channels(units, rule.activation()(sums))
        except UntraceableError as reason:
            self.units.fix(units, f"{name!r} makes it, and {reason}")
            return varying(units)


def _keeps_last_axis(layer: keras.layers.Reshape, tensor: Tensor) -> bool:
    """Whether the last axis of the result is the last axis of the tensor: as long, and counted fastest in both."""
    return tuple(layer.target_shape[-1:]) == tuple(tensor.shape[-1:])
