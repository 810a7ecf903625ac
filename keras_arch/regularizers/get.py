"""Regularizers from string ids, configs and objects."""

from collections.abc import Callable
from typing import Any

import keras

from keras_arch.core.identifiers import resolve_or
from keras_arch.core.optional import room


def get(identifier: Any) -> Callable[..., Any] | None:
    """Turn an identifier into a regularizer: ours by name, and all that `keras.regularizers.get` takes.

    `keras.regularizers.get` itself, and so a layer's `kernel_regularizer`, knows no strings but Keras's own: pass it
    what this function returns, or a config dict.

    Args:
        identifier: a string such as "group_lasso", "GroupLasso", "keras_arch>GroupLasso" or "l2", a config dict, a
            class, a callable, or None.
    Returns:
        The regularizer, None for None.
    Raises:
        ValueError: for an unknown string, with the nearest known ids.

    >>> get("group_lasso").strength
    0.01
    >>> get("l2").__class__.__name__
    'L2'
    """
    return resolve_or(identifier, room("regularizers"), keras.regularizers.get)
