"""Which numbers of an attribution belong to which numbers of the inputs."""

import keras
import numpy as np

from keras_arch.core import check

UNITS = ("position", "feature")


def check_unit(unit: str) -> str:
    """Return `unit` if it is "position" or "feature", or raise.

    >>> check_unit("position")
    'position'
    """
    return check.one_of("unit", unit, UNITS)


def fit(values: list[np.ndarray], inputs: list[np.ndarray], unit: str) -> list[np.ndarray | None] | None:
    """One array for each input, that broadcasts against it: what each of its positions, or features, is worth.

    A position is a pixel, a step in time or a token: its channels are summed. An input of rank 2 has features only,
    one of integers below rank 4 has tokens. Maps have the input's shape, or one channel, or no channel axis; for tokens
    also that of what an embedding layer makes of them. A single map among several inputs belongs to the first that
    it fits.

    Args:
        values: arrays of the attribution, batch first.
        inputs: arrays of the inputs, batch first.
        unit: "position" or "feature".
    Returns:
        None for inputs that nothing is known of; None at all if the values fit no input.

    >>> fit([np.ones((1, 4, 4, 3))], [np.zeros((1, 4, 4, 3))], "position")[0].shape
    (1, 4, 4, 1)
    """
    if len(values) == len(inputs):
        found = [_fit(value, leaf, unit) for value, leaf in zip(values, inputs, strict=True)]
        if all(part is not None for part in found):
            return found
    if len(values) > 1:
        return None
    for place, leaf in enumerate(inputs):
        part = _fit(values[0], leaf, unit)
        if part is not None:
            return [part if other == place else None for other in range(len(inputs))]
    return None


def _fit(value: np.ndarray, leaf: np.ndarray, unit: str) -> np.ndarray | None:
    if is_tokens(leaf):
        if value.shape == leaf.shape:
            return value
        return value.sum(-1) if value.shape[:-1] == leaf.shape else None
    axis = channel_axis(leaf.ndim)
    if value.shape == leaf.shape:
        return value if axis is None or unit == "feature" else value.sum(axis, keepdims=True)
    if axis is None:
        return None
    flat = list(leaf.shape)
    flat[axis] = 1
    if value.shape == tuple(flat):
        return value
    del flat[axis]
    return np.expand_dims(value, axis) if value.shape == tuple(flat) else None


def is_tokens(leaf: np.ndarray) -> bool:
    """Whether an input holds token ids: integers, batch first, in fewer than four axes.

    >>> is_tokens(np.zeros((2, 7), "int32")), is_tokens(np.zeros((2, 7), "float32"))
    (True, False)
    """
    return leaf.dtype.kind != "f" and leaf.ndim < 4


def channel_axis(rank: int) -> int | None:
    """Where an input of so many axes has its channels, by Keras's own data format; None for features without positions.

    >>> channel_axis(4), channel_axis(2)
    (3, None)
    """
    if rank < 3:
        return None
    return 1 if rank > 3 and keras.config.image_data_format() == "channels_first" else rank - 1


def fitted(values: list[np.ndarray], inputs: list[np.ndarray], unit: str) -> list[np.ndarray | None]:
    """What `fit` finds.

    Raises:
        ValueError: if the values fit no input.
    """
    found = fit(values, inputs, unit)
    if found is None:
        raise ValueError(
            f"attribution must have values of the inputs' shapes {[leaf.shape for leaf in inputs]}, or of their "
            f"positions; received values of shapes {[value.shape for value in values]}. Explain the inputs, or their "
            "embedding, and let class activation maps be spread over the input: interpolation='linear'."
        )
    return found
