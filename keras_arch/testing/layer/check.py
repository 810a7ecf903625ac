"""What a check is: a small function with a name, a usual cause and a tolerance, and how a tuple of them is run."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keras_arch.core.check import describe


@dataclasses.dataclass(frozen=True)
class Check:
    """One question asked of a layer.

    Args:
        name: what passes when the check passes.
        run: takes the subject, and the tolerance where there is one; returns what was measured or None; raises
            `Mismatch` when the answer is no and `NotApplicable` when the question makes no sense for the layer.
        cause: what is usually wrong when the check fails.
        tolerance: largest error allowed, or None where nothing is measured.
        vital: whether the remaining checks are pointless when this one fails.
    """

    name: str
    run: Callable[..., str | None]
    cause: str
    tolerance: float | None = None
    vital: bool = False


class Mismatch(AssertionError):
    """Two things that must agree do not: what was compared, and how far off."""


class NotApplicable(Exception):
    """The check asks for something that this layer, backend or machine has not; the message is the reason."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """A check that a layer did not pass, and the sentence about it."""

    check: str
    message: str


class LayerCheckError(AssertionError):
    """A layer failed; `failures` holds each failed check."""

    def __init__(self, layer: str, failures: tuple[Failure, ...], asked: int) -> None:
        self.failures = failures
        lines = [f"{layer} fails {len(failures)} of {asked} checks:"]
        lines += [f"- {failure.check}: {failure.message}" for failure in failures]
        super().__init__("\n".join(lines))


@dataclasses.dataclass(frozen=True)
class LayerReport:
    """What `check_layer` or `check_cell` did: the checks passed, and those left out with the reason.

    Args:
        layer: name of the class.
        passed: pairs (check, what was measured, or "").
        left_out: pairs (check, reason).

    >>> print(LayerReport("Doubling", (("can_be_called", ""),), (("keras_mask", "takes no mask"),)))
    Doubling: 1 check passed, 1 left out
      passed    can_be_called
      left out  keras_mask (takes no mask)
    """

    layer: str
    passed: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        count = len(self.passed)
        lines = [f"{self.layer}: {count} check{'' if count == 1 else 's'} passed, {len(self.left_out)} left out"]
        lines += [f"  passed    {name}{f' ({text})' if text else ''}" for name, text in self.passed]
        lines += [f"  left out  {name} ({reason})" for name, reason in self.left_out]
        return "\n".join(lines)

    def __add__(self, other: "LayerReport") -> "LayerReport":
        return LayerReport(self.layer, self.passed + other.passed, self.left_out + other.left_out)


def check(cause: str, *, tolerance: float | None = None, vital: bool = False) -> Callable[[Callable], Check]:
    """Turn a function into a `Check` of the same name.

    >>> @check("The author forgot something.")
    ... def holds_water(subject):
    ...     return "measured"
    >>> holds_water.name, holds_water.run(None)
    ('holds_water', 'measured')
    """

    def wrap(function: Callable) -> Check:
        return Check(function.__name__, function, cause, tolerance, vital)

    return wrap


def refuse_unknown(argument: str, given: Mapping[str, Any], checks: Iterable[Check]) -> None:
    """Raise if a mapping from check names to something names a check that does not exist.

    Raises:
        ValueError: with the names that exist.
    """
    if not isinstance(given, Mapping):
        raise ValueError(
            f"{argument} must map names of checks to values; received {argument}={describe(given)}. "
            f"Pass for example {argument}={{'litert': ...}}."
        )
    known = [one.name for one in checks]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"{argument} must name checks that exist; received {', '.join(unknown)}. Known: {', '.join(known)}."
        )


def first_lines(error: BaseException, limit: int = 400) -> str:
    """Say an exception in one line: its type and the beginning of its message."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= limit else text[: limit - 3] + '...'}"


def run_checks(
    name: str,
    subject: Any,
    checks: tuple[Check, ...],
    *,
    skip: Mapping[str, str],
    tolerances: Mapping[str, float],
    prefix: str = "",
) -> tuple[LayerReport, tuple[Failure, ...]]:
    """Run every check on a subject and collect what passed, what failed and what was left out.

    Args:
        name: of the layer.
        subject: what the checks take.
        checks: in order; a failed vital one ends the run.
        skip: check name -> reason it is left out.
        tolerances: check name -> tolerance in place of the check's own.
        prefix: written before each name in the results.
    """
    passed, left_out, failures = [], [], []
    for one in checks:
        title = prefix + one.name
        if one.name in skip:
            left_out.append((title, skip[one.name]))
            continue
        arguments = () if one.tolerance is None else (tolerances.get(one.name, one.tolerance),)
        try:
            passed.append((title, one.run(subject, *arguments) or ""))
        except NotApplicable as reason:
            left_out.append((title, str(reason)))
        except Mismatch as error:
            failures.append(Failure(title, f"{error} Usual cause: {one.cause}"))
        except Exception as error:  # whatever a user's layer raises is the finding
            failures.append(Failure(title, f"raised {first_lines(error)} Usual cause: {one.cause}"))
        if failures and one.vital:
            break
    return LayerReport(name, tuple(passed), tuple(left_out)), tuple(failures)
