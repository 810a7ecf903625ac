"""Argument checks whose errors name the argument, the rule, what was received and the next step."""

from collections.abc import Collection
from typing import Any


def describe(value: Any) -> str:
    """Say what a value is: its repr for plain data, its module and type name otherwise.

    Args:
        value: anything.
    Returns:
        One line, at most 120 characters.

    >>> describe(3)
    '3'
    >>> describe(object())
    'an object of type builtins.object'
    """
    if value is None or isinstance(value, str | int | float | bool | tuple | list | dict | set | frozenset | slice):
        text = repr(value)
        return text if len(text) <= 120 else text[:117] + "..."
    if isinstance(value, type):
        return f"the class {value.__module__}.{value.__qualname__}"
    return f"an object of type {type(value).__module__}.{type(value).__qualname__}"


def refuse(argument: str, rule: str, received: Any, advice: str) -> ValueError:
    """Build the error of the house: argument, rule, received value, next step.

    >>> str(refuse("size", "must be even to pair features", 7, "Use size=8."))
    'size must be even to pair features; received size=7. Use size=8.'
    """
    return ValueError(f"{argument} {rule}; received {argument}={describe(received)}. {advice}")


def integer(argument: str, value: Any, *, minimum: int = 1, maximum: int | None = None) -> int:
    """Return `value` as an int within [minimum, maximum], or raise.

    Booleans and floats are refused: 2.0 heads is a mistake worth hearing of.

    Raises:
        ValueError: if `value` is not an integer in the range.

    >>> integer("heads", 4)
    4
    """
    is_integer = not isinstance(value, bool) and hasattr(value, "__index__")
    if not is_integer or value.__index__() < minimum or (maximum is not None and value.__index__() > maximum):
        upper = "" if maximum is None else f" and <= {maximum}"
        raise refuse(argument, f"must be an integer >= {minimum}{upper}", value, f"Pass for example {minimum}.")
    return value.__index__()


def real(
    argument: str, value: Any, *, minimum: float, maximum: float, open_maximum: bool = False, open_minimum: bool = False
) -> float:
    """Return `value` as a float within the interval, or raise.

    Args:
        argument: name for the error.
        value: a real number; booleans and NaN are refused.
        minimum: lower end of the interval.
        maximum: upper end of the interval.
        open_maximum: whether the upper end itself is refused.
        open_minimum: whether the lower end itself is refused.
    Raises:
        ValueError: if `value` is not a number in the interval.

    >>> real("rate", 0.5, minimum=0, maximum=1)
    0.5
    """
    interval = f"{'(' if open_minimum else '['}{minimum:g}, {maximum:g}{')' if open_maximum else ']'}"
    is_number = not isinstance(value, bool | str | bytes) and hasattr(value, "__float__")
    number = float(value) if is_number else float("nan")
    inside = minimum <= number <= maximum
    if open_minimum:
        inside = inside and number != minimum
    if open_maximum:
        inside = inside and number != maximum
    if not inside:
        raise refuse(argument, f"must be a number in {interval}", value, "Choose a value inside the interval.")
    return number


def strength(argument: str, value: Any) -> float:
    """Return `value` as a finite float >= 0, or raise: factors of penalties, and rates.

    Raises:
        ValueError: if `value` is not such a number.

    >>> strength("strength", 1)
    1.0
    """
    return real(argument, value, minimum=0, maximum=float("inf"), open_maximum=True)


def one_of(argument: str, value: Any, options: Collection[str]) -> str:
    """Return `value` if it is one of the named options, or raise with the list of them.

    Raises:
        ValueError: if `value` is not among `options`.

    >>> one_of("scope", "layer", ("layer", "global"))
    'layer'
    """
    if not isinstance(value, str) or value not in options:
        listed = ", ".join(repr(option) for option in sorted(options))
        raise refuse(argument, f"must be one of {listed}", value, "Choose one of these.")
    return value
