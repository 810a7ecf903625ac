"""Registered names: every serialisable class is `keras_arch>Name`, for ever."""

import keras

PACKAGE = "keras_arch"


def register(cls: type) -> type:
    """Class decorator: make `cls` known to `keras.saving` as `keras_arch>ClassName`.

    The name does not depend on the file the class lives in, so files may move and saved models still load.

    >>> @register
    ... class Doubling(keras.layers.Layer):
    ...     pass
    >>> keras.saving.get_registered_name(Doubling)
    'keras_arch>Doubling'
    """
    return keras.saving.register_keras_serializable(package=PACKAGE)(cls)
