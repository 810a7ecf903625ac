"""Positions of the steps of a sequence: counted from a start, or given."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check


def token_positions(inputs: Any, start_index: Any = 0, positions: Any = None, axis: int = 1) -> Any:
    """Positions of the T steps of `inputs`: start_index, start_index + 1, ..., or the given ones.

    Args:
        inputs: tensor, shape (B, T, ...).   B: batch, T: length.
        start_index: position of the first step, an integer or an integer scalar tensor.
        positions: None, or integer tensor, shape (T,) or (B, T), in place of counting; an axis of size 1 stands for
            any size.
        axis: of the steps in `inputs`; those before it are all batch.
    Returns:
        int32 tensor, shape (T,) or that of `positions`.
    Raises:
        ValueError: if both are given, they are not integers, or `positions` does not fit.

    >>> keras.ops.convert_to_numpy(token_positions(np.zeros((1, 3, 4)), start_index=5)).tolist()
    [5, 6, 7]
    """
    if positions is None:
        return ops.arange(ops.shape(inputs)[axis], dtype="int32") + _scalar("start_index", start_index)
    if not (isinstance(start_index, int) and start_index == 0):
        raise ValueError(
            f"start_index and positions exclude each other; received start_index={check.describe(start_index)} "
            "together with positions. Add the start to the positions."
        )
    positions = as_positions("positions", positions)
    shape, axis = tuple(positions.shape), axis % len(inputs.shape)
    allowed = (tuple(inputs.shape)[axis : axis + 1], tuple(inputs.shape)[: axis + 1])
    if not any(_fits(shape, expected) for expected in allowed):
        advice = f"Pass one of the shapes {allowed[0]} and {allowed[1]}."
        raise check.refuse("positions", "must have the length or the batch and length of the inputs", shape, advice)
    return positions


def sequence_length(inputs: Any, start_index: Any = 0, positions: Any = None, length: Any = None) -> Any:
    """How long the whole sequence is that `inputs` is a piece of: the last position + 1, unless told.

    Args:
        inputs: tensor, shape (B, T, ...).
        start_index: position of the first step, an integer or an integer scalar tensor.
        positions: None, or integer tensor, in place of counting.
        length: None, or the answer: an integer >= 1 or an integer scalar tensor.
    Returns:
        A Python int where the sizes are known while the model is built, an int32 scalar tensor otherwise.
    Raises:
        ValueError: if `length` is not an integer scalar, or below 1.

    >>> sequence_length(np.zeros((1, 3, 4)), start_index=5)
    8
    """
    if length is not None:
        if is_number(length):
            return check.integer("length", length)
        return _scalar("length", length)
    if positions is not None:
        return ops.max(ops.cast(positions, "int32")) + 1
    if is_number(start_index) and inputs.shape[1] is not None:
        return int(start_index) + inputs.shape[1]
    return ops.cast(ops.shape(inputs)[1], "int32") + _scalar("start_index", start_index)


def as_positions(argument: str, positions: Any) -> Any:
    """Return integer positions as an int32 tensor, or raise.

    >>> keras.backend.standardize_dtype(as_positions("positions", [3, 4]).dtype)
    'int32'
    """
    positions = ops.convert_to_tensor(positions)
    if not keras.backend.is_int_dtype(positions.dtype):
        received = keras.backend.standardize_dtype(positions.dtype)
        raise ValueError(f"{argument} must be integers; received the dtype {received}. Cast them to int32.")
    return ops.cast(positions, "int32")


def is_number(value: Any) -> bool:
    """Say whether a value is a number of Python or NumPy, known while the model is built; tensors are not.

    >>> is_number(3), is_number(keras.ops.convert_to_tensor(3))
    (True, False)
    """
    return isinstance(value, int | float | np.integer | np.floating)


def _scalar(argument: str, value: Any) -> Any:
    value = ops.convert_to_tensor(value)
    if len(value.shape) or not keras.backend.is_int_dtype(value.dtype):
        received = f"shape {tuple(value.shape)}, {keras.backend.standardize_dtype(value.dtype)}"
        advice = " Pass positions, one per sample." if argument == "start_index" else " Pass one number for the batch."
        raise ValueError(f"{argument} must be an integer scalar; received {received}.{advice}")
    return ops.cast(value, "int32")


def _fits(shape: tuple, expected: tuple) -> bool:
    return len(shape) == len(expected) and all(
        a in (1, None, b) or b is None for a, b in zip(shape, expected, strict=True)
    )
