"""Initializers from string ids, configs and objects."""

from collections.abc import Callable
from typing import Any

import keras

from keras_arch.core.identifiers import resolve_or
from keras_arch.core.optional import room


def get(identifier: Any) -> Callable[..., Any] | None:
    """Turn an identifier into an initializer: ours by name, and all that `keras.initializers.get` takes.

    Args:
        identifier: a string such as "delta_orthogonal", "DeltaOrthogonal", "keras_arch>DeltaOrthogonal" or
            "he_normal", a config dict, a class, a callable, an array, or None.
    Returns:
        The initializer, None for None.
    Raises:
        ValueError: for an unknown string, with the nearest known ids.

    >>> get("delta_orthogonal").gain
    1.0
    >>> get("he_normal").__class__.__name__
    'HeNormal'
    """
    return resolve_or(identifier, room("initializers"), keras.initializers.get)
