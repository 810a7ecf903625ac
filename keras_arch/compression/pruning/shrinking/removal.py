"""Choosing the channels that go."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from keras_arch.compression.pruning.shrinking.channels import Channels
from keras_arch.compression.pruning.shrinking.gating import Gating
from keras_arch.compression.pruning.shrinking.mixing import Mixing
from keras_arch.compression.pruning.shrinking.trace import Trace
from keras_arch.core.check import integer


@dataclasses.dataclass(frozen=True)
class Reading:
    """How one dense or convolutional layer depends on the channels it takes.

    Args:
        depends: bool array (I, F), whether filter f has a weight for input i.
        inputs: representatives of the I units it reads.
        outputs: representatives of the F units it makes.
        folds: bool array (I,), inputs whose constant can be moved into the bias.
    """

    depends: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    folds: np.ndarray


class Removal:
    """The channels of a trace that go: nobody reads them, or they send out a constant that the next biases take over.

    A filter is not read where all its weights in the next layers are zero, or belong to filters that go themselves.
    Of every tensor one channel stays at least.

    Args:
        trace: what is known of the channels.
        forced: layer name to indices of filters that go, whatever reads them.
    Raises:
        ValueError: if a forced filter cannot go, or would be the last.

    >>> from keras_arch.compression.graph import graph_of
    >>> from keras_arch.compression.pruning.shrinking.trace import Trace
    >>> from keras_arch.compression.pruning.shrinking.removal import Removal
    >>> layers = [keras.Input((2,)), keras.layers.Dense(3, name="body"), keras.layers.Dense(1)]
    >>> model = keras.Sequential(layers)
    >>> model.layers[0].set_weights([np.array([[1.0, 0, 2.0], [1.0, 0, 3.0]]), np.array([0.0, 5.0, 0.0])])
    >>> trace = Trace(graph_of(model))
    >>> Removal(trace).kept(trace.outputs["body"][0]).tolist()
    [True, False, True]
    """

    def __init__(self, trace: Trace, forced: Mapping[str, Sequence[int]] | None = None) -> None:
        self.trace = trace
        every = np.arange(len(trace.units))
        self._roots = trace.units.roots(every)
        self._fixed = trace.units.fixed(every)
        self._forced = np.zeros(len(every), dtype=bool)
        for name, indices in (forced or {}).items():
            self._forced[self._forced_roots(name, indices)] = True
        self._weighing = np.zeros(len(every), dtype=bool)  # channels that others are weighed by
        for name, rule in trace.rules.items():
            if isinstance(rule, Gating):
                needed = rule.needs(trace.values_read(name))
                self._weighing[self._roots[trace.inputs[name][0].units[needed]]] = True
        readings = [self._reading(name) for name, rule in trace.rules.items() if isinstance(rule, Mixing)]
        while True:
            self._gone = self._solve(readings)
            emptied = [
                channels for channels in trace.tensors.values() if channels.size and not self.kept(channels).any()
            ]
            if not emptied:
                return
            for channels in emptied:
                self._keep_one(channels)

    def kept(self, channels: Channels) -> np.ndarray:
        """Bool array (C,): which channels of a tensor stay."""
        return ~self._gone[self._roots[channels.units]]

    def shift(self, name: str) -> np.ndarray:
        """What the removed constants add to the bias of each filter of a layer, float64 array (F,)."""
        rule, values = self.trace.rules[name], self.trace.values_read(name)
        moved = rule.constants_pass(values) & ~self.kept(self.trace.inputs[name][0])
        return rule.contribution(np.where(moved, values, np.nan))

    def _reading(self, name: str) -> Reading:
        rule, inputs = self.trace.rules[name], self.trace.inputs[name][0]
        outputs = self.trace.outputs[name][0]
        folds = rule.constants_pass(self.trace.values_read(name))
        return Reading(rule.depends, self._roots[inputs.units], self._roots[outputs.units], folds)

    def _solve(self, readings: Sequence[Reading]) -> np.ndarray:
        """Grow the set of channels that go until it grows no more: bool array over representatives."""
        gone = self._forced.copy()
        while True:
            needed = self._weighing.copy()
            for reading in readings:
                read = reading.depends[:, ~gone[reading.outputs]].any(axis=1)
                needed[reading.inputs[read & ~reading.folds]] = True
            new = self._forced | ~(needed | self._fixed)
            if (new == gone).all():
                return gone
            gone = new

    def _forced_roots(self, name: str, indices: Sequence[int]) -> np.ndarray:
        rule = self.trace.rules.get(name)
        if not isinstance(rule, Mixing):
            reason = self.trace.untraced.get(name, "it has no filters of its own")
            raise ValueError(
                "channels must name dense or convolutional layers that can be cut; received the layer "
                f"{name!r}: {reason}. Name the layer that makes the channels."
            )
        indices = [integer(f"channels[{name!r}]", index, minimum=0, maximum=rule.filters - 1) for index in indices]
        units = self.trace.outputs[name][0].units[indices]
        for index, unit in zip(indices, units, strict=True):
            reason = self.trace.units.reason(unit)
            if reason is not None:
                raise ValueError(
                    f"channels must name filters that can go; received channel {index} of {name!r}, which stays: "
                    f"{reason}. Leave it out."
                )
        return self._roots[units]

    def _keep_one(self, channels: Channels) -> None:
        roots = self._roots[channels.units]
        free = roots[~self._forced[roots]]
        if not len(free):
            names = [key[0] for key, known in self.trace.tensors.items() if known is channels]
            raise ValueError(
                f"channels must leave one channel in every layer; received all {channels.size} of {names[0]!r}. "
                "Leave one out."
            )
        self._fixed[free[0]] = True
