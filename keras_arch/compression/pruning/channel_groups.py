"""From scores to masks, for channels and heads that are slices of several weights."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_arch.compression.nesting import open_graph
from keras_arch.compression.pruning.shrinking.gating import Gating
from keras_arch.compression.pruning.shrinking.mixing import Mixing, kernel_of_filters
from keras_arch.compression.pruning.shrinking.trace import Trace
from keras_arch.compression.scope import Target, smallest
from keras_arch.core.inner_channels import inner_channels_of
from keras_arch.core.walk import walk

ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)


@dataclasses.dataclass(frozen=True)
class Slices:
    """How the channels of a model lie in one weight.

    Args:
        variable: the weight.
        axis: its axis of channels.
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


@dataclasses.dataclass(frozen=True)
class Found:
    """The channels of a model, or the heads, before it is known which of them may be pruned.

    Args:
        makers: the kernels whose weights make them matter; all or none of those of a group must be targets.
        followers: other weights that must be zero where a channel is dead.
        fixed: bool array, which groups stay whatever is asked.
        reason: layer path and slices of one of its kernels, or None, to why it has nothing that can go.
    """

    makers: list[Slices]
    followers: list[Slices]
    fixed: np.ndarray
    reason: Callable[[str, Slices | None], str]


class ChannelGroups:
    """Ranks channels or heads, each with the weights that must go along so that it is dead.

    Args:
        found: from `channels` or `heads`.
        targets: weights that may be pruned.
        named: whether the user named them, so that each layer must have something that can go.

    Attributes:
        targets: the weights whose scores count: those with a channel that can go.
        variables: the weights that are masked, those of `targets` first.
        sets: int arrays of groups, one for each set of channels that the same layers make.

    Raises:
        ValueError: if no channel can go, or none of a named layer.

    >>> from keras_arch.compression.pruning.channel_groups import ChannelGroups, channels
    >>> from keras_arch.compression.scope import select
    >>> layers = [keras.Input((2,)), keras.layers.Dense(3, name="body"), keras.layers.Dense(1)]
    >>> model = keras.Sequential(layers)
    >>> groups = ChannelGroups(channels(model), select(model), named=False)
    >>> [variable.name for variable in groups.variables], len(groups.sets[0])
    (['kernel', 'bias'], 3)
    """

    def __init__(self, found: Found, targets: tuple[Target, ...], named: bool) -> None:
        self._count = len(found.fixed)
        place = {id(target.variable): number for number, target in enumerate(targets)}
        makers: dict[int, set[int]] = {}
        for maker in found.makers:
            for group in maker.groups.tolist():
                makers.setdefault(group, set()).add(place.get(id(maker.variable), -1))
        free = {group: made for group, made in makers.items() if not found.fixed[group] and -1 not in made}
        sets: dict[tuple[int, ...], list[int]] = {}
        for group, made in free.items():
            sets.setdefault(tuple(sorted(made)), []).append(group)
        self.sets = [np.array(groups) for groups in sets.values()]
        used = {number for made in sets for number in made}
        _refuse_idle(found, targets, used, named)
        order = {number: index for index, number in enumerate(sorted(used))}
        self._made_by = [tuple(order[number] for number in made) for made in sets]
        self.targets = tuple(target for number, target in enumerate(targets) if number in used)
        chosen = {id(target.variable): target for target in self.targets}
        self._makers: dict[int, list[Slices]] = {key: [] for key in chosen}
        for maker in found.makers:
            if id(maker.variable) in chosen:
                self._makers[id(maker.variable)].append(maker)
        touched = np.isin(np.arange(self._count), list(free))
        self._masked = {key: list(made) for key, made in self._makers.items()}
        for slices in found.followers:
            if touched[slices.groups].any():
                self._masked.setdefault(id(slices.variable), []).append(slices)
        self.variables = [masked[0].variable for masked in self._masked.values()]

    def check(self, scores: Iterable[np.ndarray], own: Mapping[int, float] | None = None) -> None:
        """Raise ValueError if layers that make the same channels have different fractions; all scores fit."""
        self._own(own or {})
        for _ in scores:
            pass

    def marks(
        self, scores: Iterable[np.ndarray], sparsity: float, scope: str, own: Mapping[int, float] | None = None
    ) -> list[np.ndarray]:
        """Mark what goes.

        Args:
            scores: one array for each target, of its shape.
            sparsity: fraction of the channels, in [0, 1).
            scope: "layer" or "global".
            own: index of a target to a fraction of its own; a set takes it from any layer that makes it.
        Returns:
            A bool array for each of `variables`, of its shape.
        Raises:
            ValueError: if layers that make the same channels have different fractions.
        """
        own = self._own(own or {})
        total = np.zeros(self._count)
        count = np.zeros(self._count)
        for target, score in zip(self.targets, scores, strict=True):
            known = np.isfinite(score)  # the others are gone, with this channel or with one along another axis
            for slices in self._makers[id(target.variable)]:
                np.add.at(total, slices.groups, slices.sums(np.where(known, score, 0)))
                np.add.at(count, slices.groups, slices.sums(known))
        ranked = []
        for groups in self.sets:
            means = np.where(count[groups] > 0, total[groups] / np.maximum(count[groups], 1), -np.inf)
            means[np.argmax(means)] = np.inf
            ranked.append(means)
        gone = np.zeros(self._count, bool)
        for groups, means, marked in zip(self.sets, ranked, smallest(ranked, sparsity, scope, own), strict=True):
            gone[groups] = marked & (means < np.inf)
        return [np.any([slices.mark(gone) for slices in masked], axis=0) for masked in self._masked.values()]

    def _own(self, own: Mapping[int, float]) -> dict[int, float]:
        """From targets with a fraction of their own to sets."""
        result = {}
        for place, made_by in enumerate(self._made_by):
            given = {own[number] for number in made_by if number in own}
            if len(given) > 1:
                layers = ", ".join(self.targets[number].path for number in made_by if number in own)
                raise ValueError(
                    "overrides must be the same for layers that make the same channels; received "
                    f"{sorted(given)} for {layers}. Give them one value."
                )
            if given:
                result[place] = given.pop()
        return result


def channels(model: keras.Model) -> Found:
    """The channels that `shrink` can follow, and those inside layers.

    Args:
        model: a built Sequential or functional model.
    Raises:
        ValueError: for a model without a graph.

    >>> from keras_arch.compression.pruning.channel_groups import channels
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    >>> len(channels(model).makers)
    2
    """
    graph = open_graph(model)
    trace, makers, followers = Trace(graph), [], []
    for name, rule in trace.rules.items():
        layer = rule.layer
        if isinstance(rule, Gating):
            continue
        groups = trace.units.roots((trace.outputs if isinstance(rule, Mixing) else trace.inputs)[name][0].units)
        if isinstance(rule, Mixing):
            makers.append(Slices(*kernel_of_filters(layer), groups))
        elif isinstance(layer, keras.layers.BatchNormalization):
            followers += [Slices(weight, -1, groups) for weight in (layer.gamma, layer.beta) if weight is not None]
        elif rule.multiplies:
            followers.append(Slices(layer.kernel, -2, groups))
            groups = np.repeat(groups, rule.multiplier)
        if getattr(layer, "use_bias", False):
            followers.append(Slices(layer.bias, -1, groups))
    fixed = trace.units.fixed(np.arange(len(trace.units)))
    cut_inside = (type(None), Gating)
    layers = [layer for name, layer in graph.operations.items() if isinstance(trace.rules.get(name), cut_inside)]
    fixed = _add_inner("channel", layers, makers, followers, fixed)

    def reason(path: str, maker: Slices | None) -> str:
        if maker is None:
            parts = path.split("/")
            names = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
            return next((trace.untraced[name] for name in names if name in trace.untraced), "it makes no channels")
        reasons = (trace.units.reason(group) for group in maker.groups if group < len(trace.units))
        return next(filter(None, reasons), "its channels are made by other layers too, which are not targets")

    return Found(makers, followers, fixed, reason)


def heads(model: keras.Model) -> Found:
    """The heads of all attention layers.

    Args:
        model: any built model.

    >>> from keras_arch.compression.pruning.channel_groups import heads
    >>> inputs = keras.Input((3, 8))
    >>> model = keras.Model(inputs, keras.layers.MultiHeadAttention(4, 2)(inputs, inputs))
    >>> len(heads(model).fixed)
    4
    """
    makers: list[Slices] = []
    followers: list[Slices] = []
    layers = {path: layer for path, layer in walk(model) if isinstance(layer, ATTENTION)}
    fixed = _add_inner("head", layers.values(), makers, followers, np.zeros(0, bool))

    def reason(path: str, maker: Slices | None) -> str:
        if maker is not None:
            return "not all kernels of its attention are targets"
        if any(path.startswith(f"{attention}/") for attention in layers):
            return "its heads can't go one by one: it has a bias of positions for each, or is a layer of another kind"
        return "it has no heads of its own"

    return Found(makers, followers, fixed, reason)


def _add_inner(
    kind: str, layers: Iterable[Any], makers: list[Slices], followers: list[Slices], fixed: np.ndarray
) -> np.ndarray:
    """Append what layers say of their inside; returns `fixed` with the new groups, all free."""
    for layer in layers:
        for inner in inner_channels_of(layer) if isinstance(layer, keras.Layer) else ():
            if inner.kind != kind:
                continue
            groups = len(fixed) + np.arange(inner.size)
            fixed = np.concatenate([fixed, np.zeros(inner.size, bool)])
            for place, (variable, axis) in enumerate(inner.slices):
                if place in inner.spared:
                    continue
                # A bias may have as many axes as heads have features; kernels have the axis of the inputs too.
                kernel = "bias" not in variable.name and len(variable.shape) > 1 and place not in inner.uncounted
                (makers if kernel else followers).append(Slices(variable, axis, inner.along(place, groups)))
    return fixed


def _refuse_idle(found: Found, targets: tuple[Target, ...], used: set[int], named: bool) -> None:
    """Raise if no target has a channel that can go, or all those of a layer that was named."""
    busy = {targets[number].path.split("/")[0] for number in used}
    idle = [target for target in targets if target.path.split("/")[0] not in busy]
    if used and not (named and idle):
        return
    makers = {id(maker.variable): maker for maker in found.makers}
    lines = (f"{target.path}: {found.reason(target.path, makers.get(id(target.variable)))}" for target in idle)
    raise ValueError(
        "targets must have channels that can go; received "
        + "; ".join(list(dict.fromkeys(lines))[:5])
        + ". Name layers whose outputs other layers read, or prune these with another pattern."
    )
