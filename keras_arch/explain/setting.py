"""Values that hold settings, arrays among them: printed, compared and stored by their numbers."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_arch.core.check import describe


class Setting:
    """Base of a registered frozen dataclass (`eq=False, repr=False`) whose fields may hold arrays and layers.

    >>> ka.explain.References([[1.0]]) == ka.explain.References([[2.0]]), ka.explain.Saliency(absolute=False)
    (False, Saliency(absolute=False))
    """

    def get_config(self) -> dict[str, Any]:
        """Settings by name, as `keras.saving` stores them."""
        settings = {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}
        return {name: value.name if isinstance(value, keras.Layer) else value for name, value in settings.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Setting":
        """The value that `get_config` described."""
        return cls(**{name: _restored(value) for name, value in config.items()})

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(_same(getattr(self, part.name), getattr(other, part.name)) for part in dataclasses.fields(self))

    def __hash__(self) -> int:
        settings = (getattr(self, part.name) for part in dataclasses.fields(self))
        return hash((type(self), *(part for part in settings if isinstance(part, str | int | float | None))))

    def __repr__(self) -> str:
        changed = [
            f"{part.name}={_brief(getattr(self, part.name))}"
            for part in dataclasses.fields(self)
            if not _same(getattr(self, part.name), _default(part))
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


def _default(part: dataclasses.Field) -> Any:
    return part.default if part.default_factory is dataclasses.MISSING else part.default_factory()


def _restored(value: Any) -> Any:
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    if isinstance(value, dict):
        return {name: _restored(part) for name, part in value.items()}
    return [_restored(part) for part in value] if isinstance(value, list) else value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one is other or one == other


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    return repr(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else describe(value)
