"""Activations from string ids, configs and functions."""

from collections.abc import Callable
from typing import Any

import keras

from keras_arch.core.identifiers import resolve_or
from keras_arch.core.optional import room


def get(identifier: Any) -> Callable[..., Any]:
    """Turn an identifier into an activation: ours by name, and all that `keras.activations.get` takes.

    Keras 3.15 looks strings up among its own activations only, registered or not. So a Keras layer takes
    `activation=ka.activations.snake` or `activation=ka.activations.get("snake")`, not `activation="snake"`; models
    save and load with the function either way, as `keras_arch>snake`.

    Args:
        identifier: a string such as "snake", "keras_arch>snake" or "gelu", a config dict, a callable, or None.
    Returns:
        The function; `keras.activations.linear` for None.
    Raises:
        ValueError: for an unknown string, with the nearest known ids.

    >>> get("snake") is ka.activations.snake, get("gelu") is keras.activations.gelu
    (True, True)
    """
    return resolve_or(identifier, room("activations"), keras.activations.get)
