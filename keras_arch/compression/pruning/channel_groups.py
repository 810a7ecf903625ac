"""From scores to masks, for channels that go together over several layers."""

import dataclasses
from collections.abc import Iterable

import keras
import numpy as np

from keras_arch.compression.graph import graph_of
from keras_arch.compression.pruning.shrinking.mixing import Mixing
from keras_arch.compression.pruning.shrinking.trace import Trace
from keras_arch.compression.scope import Target, smallest


@dataclasses.dataclass(frozen=True)
class Slices:
    """How the channels of a model lie in one weight.

    Args:
        variable: the weight.
        axis: its axis of channels, negative.
        groups: int array, the group of each index along that axis.
    """

    variable: keras.Variable
    axis: int
    groups: np.ndarray

    def sums(self, scores: np.ndarray) -> np.ndarray:
        """Sum of the scores at each index along the axis."""
        return np.moveaxis(scores, self.axis, -1).reshape(-1, len(self.groups)).sum(axis=0, dtype="float64")

    def mark(self, gone: np.ndarray) -> np.ndarray:
        """Bool array of the weight's shape, True where the group is `gone`."""
        shape = [1] * len(self.variable.shape)
        shape[self.axis] = -1
        return np.broadcast_to(gone[self.groups].reshape(shape), tuple(self.variable.shape)).copy()


class ChannelGroups:
    """Ranks the channels of a model, each with the weights that must go along so that it is dead.

    Args:
        model: a built Sequential or functional model.
        targets: weights that may be pruned.
        named: whether each of them must have a channel that can go.

    Attributes:
        targets: the weights whose scores count: those with a channel that can go.
        variables: the weights that are masked, those of `targets` first.
        sets: int arrays of groups, one for each set of channels that the same layers make.

    Raises:
        ValueError: for a model without a graph, or if no channel can go, or none of a named target.

    >>> from keras_arch.compression.pruning.channel_groups import ChannelGroups
    >>> from keras_arch.compression.scope import select
    >>> layers = [keras.Input((2,)), keras.layers.Dense(3, name="body"), keras.layers.Dense(1)]
    >>> groups = ChannelGroups(keras.Sequential(layers), select(keras.Sequential(layers)), named=False)
    >>> [variable.name for variable in groups.variables], len(groups.sets[0])
    (['kernel', 'bias'], 3)
    """

    def __init__(self, model: keras.Model, targets: tuple[Target, ...], named: bool) -> None:
        self._trace = Trace(graph_of(model))
        makers, followers = self._slices()
        place = {id(target.variable): number for number, target in enumerate(targets)}
        by_group: dict[int, set[int]] = {}
        for maker in makers:
            for group in maker.groups.tolist():
                by_group.setdefault(group, set()).add(place.get(id(maker.variable), -1))
        fixed = dict(zip(by_group, self._trace.units.fixed(np.array(list(by_group), int)).tolist(), strict=True))
        free = {group: made for group, made in by_group.items() if not fixed[group] and -1 not in made}
        sets: dict[tuple[int, ...], list[int]] = {}
        for group, made in free.items():
            sets.setdefault(tuple(sorted(made)), []).append(group)
        self.sets = [np.array(groups) for groups in sets.values()]
        used = {number for made in sets for number in made}
        self._refuse(targets, used, makers, named)
        self.targets = tuple(target for number, target in enumerate(targets) if number in used)
        chosen = {id(target.variable): target for target in self.targets}
        self._makers = {id(maker.variable): maker for maker in makers if id(maker.variable) in chosen}
        kernels = [self._makers[key] for key in chosen]
        touched = np.isin(np.arange(len(self._trace.units)), list(free))
        self._masked = kernels + [slices for slices in followers if touched[slices.groups].any()]
        self.variables = [slices.variable for slices in self._masked]

    def check(self, scores: Iterable[np.ndarray]) -> None:
        """Take scores as `marks` does, and do nothing: whatever has the shape of its weight fits."""
        for _ in scores:
            pass

    def marks(self, scores: Iterable[np.ndarray], sparsity: float, scope: str) -> list[np.ndarray]:
        """Mark what goes.

        Args:
            scores: one array for each target, of its shape.
            sparsity: fraction of the channels, in [0, 1).
            scope: "layer" or "global".
        Returns:
            A bool array for each of `variables`, of its shape.
        """
        total = np.zeros(len(self._trace.units))
        count = np.zeros(len(self._trace.units))
        for target, score in zip(self.targets, scores, strict=True):
            slices = self._makers[id(target.variable)]
            np.add.at(total, slices.groups, slices.sums(score))
            np.add.at(count, slices.groups, score.size // len(slices.groups))
        ranked = []
        for groups in self.sets:
            means = total[groups] / count[groups]
            means[np.argmax(means)] = np.inf
            ranked.append(means)
        gone = np.zeros(len(self._trace.units), bool)
        for groups, means, marked in zip(self.sets, ranked, smallest(ranked, sparsity, scope), strict=True):
            gone[groups] = marked & (means < np.inf)
        return [slices.mark(gone) for slices in self._masked]

    def _slices(self) -> tuple[list[Slices], list[Slices]]:
        """The kernels that make channels, and the other weights that must be zero where a channel is."""
        trace, makers, followers = self._trace, [], []
        for name, rule in trace.rules.items():
            layer = rule.layer
            groups = trace.units.roots((trace.outputs if isinstance(rule, Mixing) else trace.inputs)[name][0].units)
            if isinstance(rule, Mixing):
                makers.append(Slices(rule.maker, rule.filter_axis, groups))
            elif isinstance(layer, keras.layers.BatchNormalization):
                followers += [Slices(weight, -1, groups) for weight in (layer.gamma, layer.beta) if weight is not None]
            elif rule.multiplies:
                followers.append(Slices(layer.kernel, -2, groups))
                groups = np.repeat(groups, rule.multiplier)
            if getattr(layer, "use_bias", False):
                followers.append(Slices(layer.bias, -1, groups))
        return makers, followers

    def _refuse(self, targets: tuple[Target, ...], used: set[int], makers: list[Slices], named: bool) -> None:
        """Raise if a target that was named, or every target, has no channel that can go."""
        idle = [target for number, target in enumerate(targets) if number not in used]
        if used and not (named and idle):
            return
        known = {id(maker.variable): maker for maker in makers}
        lines = (f"{target.path}: {self._reason(target, known.get(id(target.variable)))}" for target in idle)
        raise ValueError(
            "targets must have channels that can go; received "
            + "; ".join(list(dict.fromkeys(lines))[:5])
            + ". Name layers whose outputs other layers read, or prune these with another pattern."
        )

    def _reason(self, target: Target, maker: Slices | None) -> str:
        if maker is None:
            return self._trace.untraced.get(target.path.split("/")[0], "it makes no channels")
        reasons = (self._trace.units.reason(group) for group in maker.groups)
        return next(filter(None, reasons), "its channels are made by other layers too, which are not targets")
