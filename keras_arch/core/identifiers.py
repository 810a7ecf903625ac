"""String ids of public names, read from a room's export line."""

import difflib
import re
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import keras

from keras_arch.core.check import describe
from keras_arch.core.registration import PACKAGE


def snake_case(name: str) -> str:
    """Turn a class name into its string id.

    >>> snake_case("GroupLasso"), snake_case("MinGRU"), snake_case("ScoreCAM")
    ('group_lasso', 'min_gru', 'score_cam')
    """
    split = re.sub(r"(?<=[a-zA-Z])(?=[0-9]D$)", "_", name)
    split = re.sub(r"(?<=.)(?<!_)(?=[A-Z][a-z])", "_", split)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", split).lower()


def identifiers(room: ModuleType) -> dict[str, Any]:
    """Map the string ids of a room to what it exports in `__all__`.

    Classes have two ids, their name as written and in snake case. Functions have one, and only those that are
    registered: an activation has an id, `get` has none.

    Args:
        room: a module with `__all__`.
    """
    table = {}
    for name in room.__all__:
        exported = getattr(room, name)
        if isinstance(exported, type):
            table[snake_case(name)] = exported
            table[name] = exported
        elif isinstance(exported, FunctionType) and keras.saving.get_registered_name(exported) == f"{PACKAGE}>{name}":
            table[name] = exported
    return table


def _thing(named: Any) -> Any:
    """What an id stands for: an instance of a class, a function itself."""
    return named() if isinstance(named, type) else named


def resolve(argument: str, identifier: Any, room: ModuleType) -> Any:
    """Turn a string id into an instance of the class, or the function, it names; return anything else as it is.

    Args:
        argument: name of the user's argument, for the error.
        identifier: a string id such as "magnitude", a class, or an object.
        room: the module whose export line lists the classes and functions.
    Returns:
        A new instance for a class or its id, the function for the id of one, `identifier` itself otherwise.
    Raises:
        ValueError: for an unknown string, with the nearest known ids.
    """
    if isinstance(identifier, type):
        return identifier()
    if not isinstance(identifier, str):
        return identifier
    table = identifiers(room)
    if identifier in table:
        return _thing(table[identifier])
    known = sorted(name for name in table if name == snake_case(name))
    near = difflib.get_close_matches(identifier, known, n=3)
    advice = f"Did you mean {' or '.join(map(repr, near))}?" if near else "Pass one of these, or an object."
    raise ValueError(
        f"{argument} must be an object or one of {', '.join(map(repr, known))}; "
        f"received {argument}={describe(identifier)}. {advice}"
    )


def resolve_or(identifier: Any, room: ModuleType, keras_get: Callable[[Any], Any]) -> Any:
    """Turn a string id of a room into an instance of the class, or the function, it names; ask Keras otherwise.

    Args:
        identifier: "delta_orthogonal", "DeltaOrthogonal" or "keras_arch>DeltaOrthogonal", or what Keras takes.
        room: the module whose export line lists our classes and functions.
        keras_get: Keras's own function for this kind, such as `keras.initializers.get`.
    Returns:
        A new instance, or the function, for a string id of ours, what `keras_get` makes of it otherwise.
    Raises:
        ValueError: for a string that neither knows, with the nearest of our ids.
    """
    if not isinstance(identifier, str):
        return keras_get(identifier)
    table = identifiers(room)
    name = identifier.removeprefix(f"{PACKAGE}>")
    if name in table:
        return _thing(table[name])
    try:
        return keras_get(identifier)
    except (TypeError, ValueError) as error:
        known = sorted(name for name in table if name == snake_case(name))
        near = difflib.get_close_matches(snake_case(name), known, n=3)
        advice = f"Did you mean {' or '.join(map(repr, near))}?" if near else "Pass one of these, or an object."
        raise ValueError(
            f"identifier must be one of {', '.join(map(repr, known))}, or one that Keras knows; "
            f"received identifier={identifier!r}. {advice}"
        ) from error
