"""Constraints from string ids, configs and objects."""

from collections.abc import Callable
from typing import Any

import keras

from keras_arch.core.identifiers import resolve_or
from keras_arch.core.optional import room


def get(identifier: Any) -> Callable[..., Any] | None:
    """Turn an identifier into a constraint: ours by name, and all that `keras.constraints.get` takes.

    `keras.constraints.get` itself, and so a layer's `kernel_constraint`, knows no strings but Keras's own: pass it what
    this function returns, or a config dict.

    Args:
        identifier: a string such as "proximal_l1", "ProximalL1", "keras_arch>ProximalL1" or "non_neg", a config dict, a
            class, a callable, or None.
    Returns:
        The constraint, None for None.
    Raises:
        ValueError: for an unknown string, with the nearest known ids.

    >>> get("proximal_l1").strength
    0.01
    >>> get("non_neg").__class__.__name__
    'NonNeg'
    """
    return resolve_or(identifier, room("constraints"), keras.constraints.get)
