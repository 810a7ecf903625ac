"""Pruning apart from `fit`: choose masks by a schedule, hold them, report."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.compression import schedule as schedules
from keras_arch.compression import scope as scopes
from keras_arch.compression.pruning import criteria, patterns
from keras_arch.compression.pruning.deadlines import Deadlines
from keras_arch.compression.pruning.masked_apply import MaskedSteps, holding_zeros
from keras_arch.compression.pruning.ranking import SeparateWeights
from keras_arch.compression.report import SparsityReport, measure
from keras_arch.compression.schedule import ConstantSchedule, Schedule
from keras_arch.core import check
from keras_arch.core.identifiers import identifiers, resolve
from keras_arch.ops import sparsity as masks

Overrides = Mapping[str, float] | None
METHODS = ("for_model", "watch")  # of criteria that are not callables


class Pruner:
    """Prunes the weights of a model in place; `callbacks.Pruning` is this, driven by `fit`.

    In a loop of your own call `update` with the count of finished optimizer steps before each step, and take the
    steps inside `hold`. The masks are the zeros themselves, so saving, loading and copying weights carries them along.

    Args:
        model: a built model; it is not wrapped or changed, only the values of its weights are.
        schedule: callable `step -> (update_now, sparsity)`, such as `PolynomialSchedule`.
        criterion: "magnitude", "random", or a callable that takes a variable and returns scores of its shape; the
            smallest go, infinity is never pruned before anything finite. Or an object with a method
            `for_model(model, variables)` that returns such a callable, such as `Taylor(x, y)`; it is called here, and
            each time masks are chosen. Or "movement", or an object with its method `watch`, for gradients in training.
        pattern: "unstructured", "block" (1 x 4), "nm" (2 of 4), "channel", "head", one of
            `compression.pruning.patterns`, or an object with the two methods of `Unstructured`, and `max_sparsity`
            where not everything can go.
        scope: "layer" prunes the same fraction of every weight, "global" ranks all weights together.
        targets: what is pruned, see `compression.scope.select`; None means kernels.
        overrides: layers that end at a sparsity of their own, `{"conv1": 0.3, "head": 0.0}`, by path or name. On the
            way there they keep the proportion to the others; with the scope "global" each is ranked alone.
    Raises:
        ValueError: if an argument breaks its rule, the criterion gives NaN or another shape, the pattern does not fit
            a weight, or the schedule ends above what the pattern can reach. The weights are untouched then.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> pruner = ka.compression.Pruner(model, ka.compression.ConstantSchedule(0.75))
    >>> with pruner.hold(model.optimizer):
    ...     for step in range(3):
    ...         pruner.update(step)
    ...         model.optimizer.apply([keras.ops.ones((8, 4)), keras.ops.ones(4)], model.trainable_variables)
    True
    False
    False
    >>> pruner.settle()
    >>> pruner.report().sparsity
    0.75
    """

    def __init__(
        self,
        model: keras.Model,
        schedule: Schedule,
        criterion: str | Callable[[keras.Variable], Any] = "magnitude",
        pattern: str | Any = "unstructured",
        scope: str = "layer",
        targets: scopes.Targets = None,
        overrides: Overrides = None,
    ) -> None:
        self.model = model
        self.schedule = check_schedule(schedule)
        self.criterion = check_criterion(criterion)
        self.pattern = check_pattern(pattern)
        self.scope = check.one_of("scope", scope, scopes.SCOPES)
        self._ranking = _ranking(self.pattern, model, targets)
        self._watched = self.criterion.watch(model, self._kernels()) if hasattr(self.criterion, "watch") else None
        self.sparsity = 0.0
        self.deadlines: Deadlines | None = None
        self._asked: int | None = None
        end = schedules.sparsity_in_the_end(self.schedule)
        self._check_reach(end)
        self._shares = self._shares_of(overrides, end)
        self._ranking.check(self._scores(), {place: value for place, (value, _) in self._shares.items()})

    @property
    def targets(self) -> tuple[scopes.Target, ...]:
        """The weights that are ranked and reported."""
        return self._ranking.targets

    @property
    def variables(self) -> list[keras.Variable]:
        """The weights that are pruned: those of `targets`, and after them what goes along."""
        return self._ranking.variables

    def due(self, step: int) -> bool:
        """Say whether `update(step)` would choose masks, without touching anything.

        Args:
            step: finished optimizer steps.
        """
        if self._asked is None or self._choices(step):
            return True
        self._asked = max(self._asked, step)
        return False

    def update(self, step: int) -> bool:
        """Bring the masks to what the schedule asks for at `step`.

        The first call finds the sparsity that is in force, wherever training stands; where nothing is pruned yet, it
        frees zeros, so that a kernel that starts with zeros learns.

        Args:
            step: finished optimizer steps, not fewer than before.
        Returns:
            Whether masks were chosen.
        Raises:
            ValueError: if the schedule or the criterion breaks its rule; the weights keep their values.
        """
        if self._asked is None:
            sparsity = schedules.sparsity_in_force(self.schedule, step)
            if sparsity is None:
                self._write([np.zeros(variable.shape, bool) for variable in self.variables])
        else:
            choices = self._choices(step)
            sparsity = choices[-1][1] if choices else None
        if sparsity is not None:
            self.prune(sparsity)
        self._asked = max(self._asked or 0, step)
        return sparsity is not None

    def foresee(self, now: int, until: int) -> None:
        """Choose now what goes at the schedule's steps after `now`, up to `until`, inside a compiled execution.

        `hold` must have been told by `foreseeing` first. What is pruned stays so until the next `update` or `prune`.

        Args:
            now: finished optimizer steps.
            until: the last step that can be reached before the next call.
        """
        if self._asked is None:
            self.update(now)
        choices = self._choices(until)
        if choices:
            gone = self.deadlines.pending(now)
            scores = [
                np.where(pending | (variable.numpy() == 0), -np.inf, score)
                for score, pending, variable in zip(self._scores(), gone, self.variables, strict=False)
            ]
            self.deadlines.add(now, [(step, self._marks(scores, sparsity)) for step, sparsity in choices])
            self.sparsity = choices[-1][1]
        self._asked = max(self._asked, until)

    def foreseeing(self) -> None:
        """Let `foresee` work: takes one int32 for each weight."""
        self.deadlines = Deadlines(self.variables)

    def prune(self, sparsity: float) -> None:
        """Choose masks for a sparsity now, whatever the schedule says.

        Args:
            sparsity: fraction of units to remove, in [0, 1); counts are rounded to the nearest.
        Raises:
            ValueError: if sparsity is out of range or the criterion breaks its rule; the weights keep their values.
        """
        sparsity = check.real("sparsity", sparsity, minimum=0, maximum=1, open_maximum=True)
        self._write(self._marks(self._scores(), sparsity))
        self.sparsity = sparsity

    def hold(self, optimizer: keras.optimizers.Optimizer | None = None) -> AbstractContextManager[MaskedSteps]:
        """Keep pruned weights at zero in every step that `optimizer` takes inside the `with` block.

        Args:
            optimizer: the model's own if None.
        """
        optimizer = self.model.optimizer if optimizer is None else optimizer
        return holding_zeros(optimizer, self.variables, self.deadlines, self._watched)

    def settle(self) -> None:
        """Make kept weights that are zero exactly zero again. While training they are 1e-30; call it after training."""
        for variable in self.variables:
            variable.assign(masks.settled(variable))

    def layer_sparsities(self) -> list[float]:
        """Fraction of zeros in each target now, in their order."""
        return [masks.zeros(target.variable) / target.size for target in self.targets]

    def report(self, gzip: bool = True) -> SparsityReport:
        """Measure what is pruned; `tensorboard.write_sparsity` writes it for TensorBoard.

        Args:
            gzip: whether to compress all weights too, which takes a second for some 30 MB and core.
        """
        return measure(self.model, self.targets, gzip)

    def _choices(self, step: int) -> list[tuple[int, float]]:
        """(step, sparsity) of every choice of masks that is due after the step last asked for, up to `step`."""
        asked = ((later, schedules.sparsity_due(self.schedule, later)) for later in range(self._asked + 1, step + 1))
        return [(later, sparsity) for later, sparsity in asked if sparsity is not None]

    def _marks(self, scores: Iterable[np.ndarray], sparsity: float) -> list[np.ndarray]:
        self._check_reach(sparsity)
        return self._ranking.marks(scores, sparsity, self.scope, self._own(sparsity))

    def _own(self, sparsity: float) -> dict[int, float]:
        return {number: value * min(sparsity / end, 1.0) for number, (value, end) in self._shares.items()}

    def _shares_of(self, overrides: Overrides, end: float | None) -> dict[int, tuple[float, float]]:
        """Index of a target to the sparsity it ends at, and that of the schedule."""
        if not overrides:
            return {}
        if not isinstance(overrides, Mapping):
            advice = "Pass for example {'head': 0.5}."
            raise check.refuse("overrides", "must map names of layers to sparsities", overrides, advice)
        if not end:
            raise check.refuse(
                "schedule",
                "must say where it ends, above 0, for overrides to have a proportion to it",
                self.schedule,
                "Pass a schedule of keras_arch, such as PolynomialSchedule.",
            )
        places = {id(target.variable): number for number, target in enumerate(self.targets)}
        shares = {}
        for name, value in overrides.items():
            value = check.real(f"overrides[{name!r}]", value, minimum=0, maximum=1, open_maximum=True)
            self._check_reach(value)
            found = [places.get(id(kernel)) for kernel in scopes.kernels_of(self.model, name, "overrides")]
            found = [place for place in found if place is not None]
            if not found:
                paths = ", ".join(dict.fromkeys(target.path for target in self.targets))
                raise check.refuse("overrides", f"must name layers that are pruned: {paths}", name, "Correct the name.")
            shares.update(dict.fromkeys(found, (value, end)))
        return shares

    def _check_reach(self, sparsity: float | None) -> None:
        limit = getattr(self.pattern, "max_sparsity", 1.0)
        if sparsity is not None and sparsity > limit + 1e-9:
            advice = "Let the schedule end there, or choose another pattern."
            raise check.refuse("sparsity", f"must be at most the pattern's {limit:g}", sparsity, advice)

    def _kernels(self) -> list[keras.Variable]:
        return [target.variable for target in self.targets]

    def _scores(self) -> Iterator[np.ndarray]:
        criterion = self._watched or self.criterion
        if hasattr(criterion, "for_model"):
            criterion = criterion.for_model(self.model, self._kernels())
        for target in self.targets:
            variable = target.variable
            scores = criterion(variable)
            scores = scores.numpy() if isinstance(scores, keras.Variable) else ops.convert_to_numpy(scores)
            if scores.dtype.kind != "f" or scores.dtype.itemsize < 4:
                scores = scores.astype("float32")  # also bfloat16, which NumPy can't partition
            if scores.shape != tuple(variable.shape):
                raise ValueError(
                    "criterion must return one score for each weight; received scores of shape "
                    f"{scores.shape} for {target.path}/{variable.name} of shape {tuple(variable.shape)}. "
                    "Return an array of the variable's shape."
                )
            if np.isnan(scores).any():
                raise ValueError(
                    f"criterion must return scores that can be ranked; received NaN for {target.path}/{variable.name}. "
                    "Check the weights for NaN, or map NaN to 0."
                )
            yield scores

    def _write(self, pruned: list[np.ndarray]) -> None:
        for variable, mask in zip(self.variables, pruned, strict=True):
            variable.assign(masks.masked(variable, np.logical_not(mask)))


def prune(
    model: keras.Model,
    sparsity: float,
    scope: str = "layer",
    criterion: str | Callable[[keras.Variable], Any] = "magnitude",
    pattern: str | Any = "unstructured",
    targets: scopes.Targets = None,
    overrides: Overrides = None,
) -> SparsityReport:
    """Prune a model at once, in place, without training.

    Args:
        model: a built model.
        sparsity: fraction of zeros, in [0, 1).
        scope: "layer" prunes the same fraction of every weight, "global" ranks all weights together.
        criterion: see `Pruner`.
        pattern: see `Pruner`.
        targets: what is pruned; None means kernels.
        overrides: layers with a sparsity of their own; see `Pruner`.
    Returns:
        The report of what was pruned.
    Raises:
        ValueError: if an argument breaks its rule; the weights are untouched then.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    >>> ka.compression.prune(model, 0.5, scope="global").sparsity
    0.5
    """
    criterion = check_criterion(criterion, trains=False)
    pruner = Pruner(model, ConstantSchedule(sparsity), criterion, pattern, scope, targets, overrides)
    pruner.prune(sparsity)
    pruner.settle()
    return pruner.report()


def check_schedule(schedule: Schedule) -> Schedule:
    """Return `schedule` if it can be asked, or raise.

    >>> from keras_arch.compression.pruning.pruner import check_schedule
    >>> check_schedule(ka.compression.ConstantSchedule(0.5)).sparsity
    0.5
    """
    if isinstance(schedule, type) or not callable(schedule):
        raise check.refuse(
            "schedule",
            "must be a callable step -> (update_now, sparsity)",
            schedule,
            "Pass for example ConstantSchedule(0.5).",
        )
    return schedule


def check_criterion(criterion: Any, trains: bool = True) -> Any:
    """Turn a string id into a criterion, and refuse what can't be asked for scores.

    Args:
        criterion: see `Pruner`.
        trains: whether training steps come, which some criteria follow.

    >>> from keras_arch.compression.pruning.pruner import check_criterion
    >>> check_criterion("magnitude")
    Magnitude()
    """
    named = identifiers(criteria).get(criterion) if isinstance(criterion, str) else criterion
    if isinstance(named, type) and named in identifiers(criteria).values():
        parameters = inspect.signature(named).parameters.values()
        needed = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
        if needed:
            advice = f"Pass {named.__name__}({', '.join(needed)}) from compression.pruning.criteria."
            raise check.refuse("criterion", "must be an object where it needs data", criterion, advice)
    criterion = resolve("criterion", criterion, criteria)
    if not any(callable(each) for each in (criterion, *(getattr(criterion, name, None) for name in METHODS))):
        rule = "must be a callable variable -> scores, or have the method for_model"
        raise check.refuse("criterion", rule, criterion, "Pass 'magnitude'.")
    if not trains and hasattr(criterion, "watch"):
        raise check.refuse("criterion", "must not need training steps here", criterion, "Use callbacks.Pruning.")
    return criterion


def check_pattern(pattern: Any) -> Any:
    """Turn a string id into a pattern, and refuse what lacks its methods.

    >>> from keras_arch.compression.pruning.pruner import check_pattern
    >>> check_pattern("unstructured")
    Unstructured()
    """
    pattern = resolve("pattern", pattern, patterns)
    methods = ("for_model",) if hasattr(pattern, "for_model") else ("units", "weights")
    if not all(callable(getattr(pattern, method, None)) for method in methods):
        raise check.refuse("pattern", "must have the methods units and weights", pattern, "Pass 'unstructured'.")
    return pattern


def _ranking(pattern: Any, model: keras.Model, targets: scopes.Targets) -> Any:
    """What ranks the weights of a model: one by one, or as the pattern says."""
    chosen = scopes.select(model, targets)
    if not hasattr(pattern, "for_model"):
        return SeparateWeights(pattern, chosen)
    return pattern.for_model(model, chosen, named=targets is not None and not callable(targets))
