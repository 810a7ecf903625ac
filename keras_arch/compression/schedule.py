"""How sparse the weights are at which optimizer step."""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.core.value import Value

Schedule = Callable[[int], tuple[Any, Any]]


class _Ramp(Value):
    """Base of schedules that go from an initial to a final sparsity between two steps: `left` is their shape."""

    def __post_init__(self) -> None:
        check.real("initial_sparsity", self.initial_sparsity, minimum=0, maximum=1, open_maximum=True)
        check.real("final_sparsity", self.final_sparsity, minimum=0, maximum=1, open_maximum=True)
        check.integer("begin_step", self.begin_step, minimum=0)
        check.integer("end_step", self.end_step, minimum=0)
        if self.end_step < self.begin_step:
            raise check.refuse(
                "end_step",
                f"must be at least begin_step, which is {self.begin_step}",
                self.end_step,
                "Exchange them, or pass the same step twice to prune at once.",
            )
        check.integer("every", self.every)

    def left(self, share: float) -> float:
        """The part of the way from the final back to the initial sparsity when a share of the steps is done."""
        raise NotImplementedError

    def __call__(self, step: int) -> tuple[bool, float]:
        """Whether masks are chosen anew at `step`, and the sparsity that holds at it."""
        if step < self.begin_step:
            return False, 0.0
        last = self.begin_step + (step - self.begin_step) // self.every * self.every
        if step >= self.end_step:
            last = self.end_step
        length = self.end_step - self.begin_step
        left = self.left((last - self.begin_step) / length) if length else 0.0
        return step == last, self.final_sparsity + (self.initial_sparsity - self.final_sparsity) * left


@register
@dataclasses.dataclass(frozen=True)
class PolynomialSchedule(_Ramp):
    """Sparsity that grows from an initial to a final value, fast at first and slowly at the end.

    s(t) = s_f + (s_i − s_f) · (1 − (t − b) / (e − b)) ** power

    t: last step at which masks are chosen, b: begin_step, e: end_step, s_i, s_f: initial and final sparsity.
    Steps count finished optimizer steps. Masks are chosen anew at b, then every `every` steps, and always at e;
    between these the sparsity stands still, before b nothing is pruned.

    Args:
        initial_sparsity: fraction of zeros at begin_step, in [0, 1).
        final_sparsity: fraction of zeros from end_step on, in [0, 1).
        begin_step: first step that prunes, >= 0.
        end_step: step that reaches the final sparsity, >= begin_step.
        power: > 0; 3 is the cubic schedule of the paper, 1 a straight line.
        every: steps between two choices of masks, >= 1.
    Raises:
        ValueError: if an argument is out of range.
    Source: Zhu & Gupta 2017, arXiv:1710.01878; the last choice falls on end_step even if `every` does not divide.

    >>> schedule = ka.compression.PolynomialSchedule(0.0, 0.8, begin_step=0, end_step=1000, every=100)
    >>> [(update_now, round(sparsity, 3)) for update_now, sparsity in (schedule(500), schedule(550))]
    [(True, 0.7), (False, 0.7)]
    """

    initial_sparsity: float
    final_sparsity: float
    begin_step: int
    end_step: int
    power: float = 3.0
    every: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        check.real("power", self.power, minimum=0, maximum=float("inf"), open_minimum=True, open_maximum=True)

    def left(self, share: float) -> float:
        """(1 − share) ** power."""
        return (1 - share) ** self.power


@register
@dataclasses.dataclass(frozen=True)
class CosineSchedule(_Ramp):
    """Sparsity that grows from an initial to a final value, slowly at both ends and fast in the middle.

    s(t) = s_f + (s_i − s_f) · (1 + cos(π (t − b) / (e − b))) / 2

    t: last step at which masks are chosen, b: begin_step, e: end_step, s_i, s_f: initial and final sparsity. Steps
    count, and masks are chosen, as for `PolynomialSchedule`.

    Args:
        initial_sparsity: fraction of zeros at begin_step, in [0, 1).
        final_sparsity: fraction of zeros from end_step on, in [0, 1).
        begin_step: first step that prunes, >= 0.
        end_step: step that reaches the final sparsity, >= begin_step.
        every: steps between two choices of masks, >= 1.
    Raises:
        ValueError: if an argument is out of range.
    Source: the half cosine of Loshchilov & Hutter 2017, arXiv:1608.03983, applied to sparsity.

    >>> schedule = ka.compression.CosineSchedule(0.0, 0.8, begin_step=0, end_step=1000, every=100)
    >>> [round(schedule(step)[1], 3) for step in (100, 500, 900, 1000)]
    [0.02, 0.4, 0.78, 0.8]
    """

    initial_sparsity: float
    final_sparsity: float
    begin_step: int
    end_step: int
    every: int = 100

    def left(self, share: float) -> float:
        """(1 + cos(π share)) / 2."""
        return (1 + math.cos(math.pi * share)) / 2


@register
@dataclasses.dataclass(frozen=True)
class ConstantSchedule(Value):
    """One sparsity from one step on.

    Args:
        sparsity: fraction of zeros, in [0, 1).
        begin_step: step that prunes, >= 0.
        every: steps after which masks are chosen anew, >= 1; None chooses once. By magnitude a new choice changes
            nothing, because what is 0 stays smallest; with a criterion that looks at more than the weight it does.
    Raises:
        ValueError: if an argument is out of range.

    >>> schedule = ka.compression.ConstantSchedule(0.5, begin_step=10)
    >>> schedule(9), schedule(10), schedule(11)
    ((False, 0.0), (True, 0.5), (False, 0.5))
    """

    sparsity: float
    begin_step: int = 0
    every: int | None = None

    def __post_init__(self) -> None:
        check.real("sparsity", self.sparsity, minimum=0, maximum=1, open_maximum=True)
        check.integer("begin_step", self.begin_step, minimum=0)
        if self.every is not None:
            check.integer("every", self.every)

    def __call__(self, step: int) -> tuple[bool, float]:
        """Whether masks are chosen anew at `step`, and the sparsity that holds at it."""
        since = step - self.begin_step
        if since < 0:
            return False, 0.0
        return since == 0 or (self.every is not None and since % self.every == 0), self.sparsity


@register
@dataclasses.dataclass(frozen=True)
class StepSchedule(Value):
    """A list of steps and the sparsity that holds from each of them on.

    Args:
        steps: steps that choose masks, >= 0, each larger than the one before.
        sparsities: fraction of zeros from each of them on, in [0, 1), as many.
    Raises:
        ValueError: for lists that are empty or of two lengths, steps that do not grow, or values out of range.

    >>> schedule = ka.compression.StepSchedule([100, 300], [0.5, 0.8])
    >>> schedule(99), schedule(100), schedule(299), schedule(300)
    ((False, 0.0), (True, 0.5), (False, 0.5), (True, 0.8))
    """

    steps: Sequence[int]
    sparsities: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("steps", "sparsities"):
            given = getattr(self, name)
            if not isinstance(given, Sequence) or isinstance(given, str) or not given:
                raise check.refuse(name, "must be a list of numbers", given, "Pass for example [100] and [0.5].")
        if len(self.steps) != len(self.sparsities):
            rule = f"must have one value for each of the {len(self.steps)} steps"
            raise check.refuse("sparsities", rule, self.sparsities, "Give both lists the same length.")
        steps = tuple(check.integer("steps", step, minimum=0) for step in self.steps)
        if any(later <= step for step, later in itertools.pairwise(steps)):
            raise check.refuse("steps", "must grow", self.steps, "Sort them, and name each once.")
        values = (check.real("sparsities", value, minimum=0, maximum=1, open_maximum=True) for value in self.sparsities)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "sparsities", tuple(values))

    @property
    def begin_step(self) -> int:
        """The first step."""
        return self.steps[0]

    @property
    def end_step(self) -> int:
        """The last step."""
        return self.steps[-1]

    def __call__(self, step: int) -> tuple[bool, float]:
        """Whether masks are chosen anew at `step`, and the sparsity that holds at it."""
        done = bisect.bisect_right(self.steps, step)
        return step in self.steps, self.sparsities[done - 1] if done else 0.0


def sparsity_due(schedule: Schedule, step: int) -> float | None:
    """Ask any schedule for one step: the sparsity to reach there, or None where it leaves the masks alone.

    Args:
        schedule: callable `step -> (update_now, sparsity)`; scalars of any array library are understood.
        step: finished optimizer steps.
    Raises:
        ValueError: if the schedule returns anything else, or a sparsity outside [0, 1).

    >>> from keras_arch.compression.schedule import sparsity_due
    >>> sparsity_due(lambda step: (step == 3, 0.25), 3)
    0.25
    """
    answer = schedule(step)
    try:
        update_now, sparsity = answer
        if not bool(update_now):
            return None
        number = float(sparsity)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "schedule must return (update_now, sparsity), a truth value and a number; "
            f"received {check.describe(answer)} at step {step}. Return for example (step % 100 == 0, 0.5)."
        ) from error
    if not 0 <= number < 1:
        raise ValueError(
            f"schedule must return a sparsity in [0, 1); received sparsity={number!r} at step {step}. "
            "Return the fraction of weights to remove, such as 0.5."
        )
    return number


def sparsity_in_the_end(schedule: Schedule) -> float | None:
    """Sparsity that a schedule ends with, if it says where: by an integer `end_step`, or as a `ConstantSchedule`.

    Args:
        schedule: callable `step -> (update_now, sparsity)`.

    >>> from keras_arch.compression.schedule import sparsity_in_the_end
    >>> sparsity_in_the_end(ka.compression.StepSchedule([10, 20], [0.5, 0.75]))
    0.75
    """
    end = schedule.begin_step if isinstance(schedule, ConstantSchedule) else getattr(schedule, "end_step", None)
    return sparsity_due(schedule, end) if isinstance(end, int) and end >= 0 else None


def sparsity_in_force(schedule: Schedule, step: int) -> float | None:
    """Sparsity that the latest choice of masks at or before `step` asked for, None if there was none.

    This is how training that was interrupted finds its way back. A schedule is asked step by step, backwards; if it
    has integer attributes `begin_step` and `end_step`, as ours and those of tfmot have, only between them.

    Args:
        schedule: callable `step -> (update_now, sparsity)`.
        step: finished optimizer steps.

    >>> from keras_arch.compression.schedule import sparsity_in_force
    >>> sparsity_in_force(ka.compression.ConstantSchedule(0.5, begin_step=10), 400)
    0.5
    """
    begin, end = getattr(schedule, "begin_step", None), getattr(schedule, "end_step", None)
    first = begin if isinstance(begin, int) and begin >= 0 else 0
    last = min(step, end) if isinstance(end, int) and end >= 0 else step
    if isinstance(schedule, ConstantSchedule):
        last = min(last, first)
    for earlier in range(last, first - 1, -1):
        sparsity = sparsity_due(schedule, earlier)
        if sparsity is not None:
            return sparsity
    return None
