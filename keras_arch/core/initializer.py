"""Initializers that several weights are made with."""

from typing import Any

import keras


def cloned(initializer: Any) -> Any:
    """A copy of an initializer; anything else is returned as it is.

    One unseeded initializer object gives all kernels of one shape the same values; a copy draws a seed of its own.

    >>> first = keras.initializers.GlorotUniform()
    >>> cloned(first) is first, cloned(None) is None
    (False, True)
    """
    return initializer.clone() if isinstance(initializer, keras.initializers.Initializer) else initializer
