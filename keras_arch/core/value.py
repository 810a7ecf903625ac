"""Settings as frozen dataclasses that `keras.saving` can write and read."""

import dataclasses
from typing import Any

import keras


class Value:
    """Base of a registered frozen dataclass: `get_config` lists the fields, `from_config` builds it again.

    Fields may be plain data, other values, or any object that Keras can serialise.

    >>> from keras_arch.core.registration import register
    >>> @register
    ... @dataclasses.dataclass(frozen=True)
    ... class Shade(Value):
    ...     depth: int = 3
    >>> keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Shade(5)))
    Shade(depth=5)
    """

    def get_config(self) -> dict[str, Any]:
        """Settings for `keras.saving`."""
        fields = dataclasses.fields(self)
        return {field.name: keras.saving.serialize_keras_object(getattr(self, field.name)) for field in fields}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Value":
        """Rebuild the value that `get_config` described."""
        settings = {name: keras.saving.deserialize_keras_object(setting) for name, setting in config.items()}
        # Keras and JSON write tuples as lists; a frozen value holds no list.
        return cls(**{name: tuple(part) if isinstance(part, list) else part for name, part in settings.items()})
