"""Registered names: every serialisable class or function is `keras_arch>Name`, for ever."""

from typing import TypeVar

import keras

PACKAGE = "keras_arch"
Registered = TypeVar("Registered")


def register(thing: Registered) -> Registered:
    """Decorator: make a class or a function known to `keras.saving` as `keras_arch>ItsName`.

    The name does not depend on the file that defines it, so files may move and saved models still load.

    >>> @register
    ... class Doubling(keras.layers.Layer):
    ...     pass
    >>> keras.saving.get_registered_name(Doubling)
    'keras_arch>Doubling'
    """
    return keras.saving.register_keras_serializable(package=PACKAGE)(thing)
