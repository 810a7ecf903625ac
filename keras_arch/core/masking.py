"""Masks that travel with tensors, by Keras's public layers only."""

from typing import Any

import keras
from keras import ops


def with_mask(tensor: Any, mask: Any) -> Any:
    """Return the tensor carrying `mask` on to the next layer.

    >>> tensor = with_mask(keras.ops.ones((1, 2, 1)), keras.ops.convert_to_tensor([[True, False]]))
    >>> keras.ops.convert_to_numpy(mask_of(tensor)).tolist()
    [[True, False]]
    """
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return keras.layers.Lambda(lambda x: x, mask=mask, dtype=dtype, name="attach_mask")(tensor)


def mask_of(tensor: Any) -> Any:
    """Return the mask that travels with a tensor, or None.

    Keras hands it to a layer's `mask` argument, but not when a second tensor is among the arguments.

    >>> mask_of(keras.ops.ones((1, 2, 1))) is None
    True
    """
    found = []

    def look(x: Any, mask: Any = None) -> Any:
        found.append(mask)
        return x

    dtype = keras.backend.standardize_dtype(tensor.dtype)
    keras.layers.Lambda(look, mask=lambda x, mask: mask, dtype=dtype, name="read_mask")(tensor)
    return found[0]


def without_mask(tensor: Any) -> Any:
    """Return the same values in a tensor of its own, which carries no mask; the given one keeps its mask.

    >>> tensor = with_mask(keras.ops.ones((1, 2, 1)), keras.ops.convert_to_tensor([[True, False]]))
    >>> mask_of(without_mask(tensor)) is None, mask_of(tensor) is None
    (True, False)
    """
    return ops.squeeze(ops.expand_dims(tensor, 0), 0)
