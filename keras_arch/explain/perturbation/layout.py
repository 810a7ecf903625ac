"""Which axes of an input hold positions and which one holds channels."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_arch.core import check


@dataclass(frozen=True)
class Layout:
    """Axes of one input, the batch left out.

    Attributes:
        shape: of one sample.
        channels: axis of the channels, or None where each number is a position: vectors and token ids.
    """

    shape: tuple[int, ...]
    channels: int | None

    @property
    def size(self) -> tuple[int, ...]:
        """Length of each axis of positions."""
        return tuple(length for axis, length in enumerate(self.shape) if axis != self.channels)

    def last(self, array: np.ndarray) -> np.ndarray:
        """(*lead, *shape) → (*lead, *size, C), a channel axis of one where there was none."""
        if self.channels is None:
            return array[..., None]
        return np.moveaxis(array, self.channels - len(self.shape), -1)

    def back(self, array: np.ndarray) -> np.ndarray:
        """(*lead, *size, C or 1) → (*lead, *shape), with one channel where it had one."""
        if self.channels is None:
            return array[..., 0]
        return np.moveaxis(array, -1, self.channels - len(self.shape))


def layouts(inputs: Any, data_format: str | None) -> list[Layout]:
    """The layout of each input: from three axes on, batch included, one of them holds channels.

    Args:
        inputs: structure of arrays, batch axis first.
        data_format: "channels_last", "channels_first", or None for `keras.config.image_data_format()`.

    >>> layouts([np.zeros((1, 8, 6, 3)), np.zeros((1, 4))], "channels_last")
    [Layout(shape=(8, 6, 3), channels=2), Layout(shape=(4,), channels=None)]
    """
    first = (data_format or keras.config.image_data_format()) == "channels_first"
    shapes = [leaf.shape[1:] for leaf in keras.tree.flatten(inputs)]
    return [Layout(shape, None if len(shape) < 2 else 0 if first else len(shape) - 1) for shape in shapes]


def check_data_format(data_format: Any) -> None:
    """Raise unless the setting is None or one of the two names.

    >>> check_data_format(None)
    """
    if data_format is not None:
        check.one_of("data_format", data_format, ("channels_last", "channels_first"))


def per_input(argument: str, setting: Any, inputs: Any) -> list[Any]:
    """One setting for each input: `setting` itself for all, or for several inputs a dict or list nested like them.

    Args:
        argument: name for the error.
        setting: a tuple counts as one setting for all inputs.
        inputs: structure of arrays.
    Raises:
        ValueError: if a dict or list does not fit the inputs' structure.

    >>> per_input("window", [3, 5], [np.zeros((1, 4)), np.zeros((1, 9))])
    [3, 5]
    """
    if isinstance(inputs, dict) and isinstance(setting, dict) and set(setting) == set(inputs):
        return [one for key in sorted(inputs) for one in per_input(argument, setting[key], inputs[key])]
    if isinstance(inputs, list | tuple) and isinstance(setting, list) and len(setting) == len(inputs):
        return [one for part, leaf in zip(setting, inputs, strict=True) for one in per_input(argument, part, leaf)]
    if keras.tree.is_nested(inputs) and isinstance(setting, dict | list):
        names = f"a dict of {sorted(inputs)}" if isinstance(inputs, dict) else f"a list of {len(inputs)}"
        advice = f"Pass one for all inputs, or {names}."
        raise check.refuse(argument, "must be nested like the inputs", setting, advice)
    return [setting] * len(keras.tree.flatten(inputs))
