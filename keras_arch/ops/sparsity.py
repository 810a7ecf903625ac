"""Masks written into the weights themselves: a pruned weight is 0, a kept weight never is.

While training, a kept weight that is exactly 0 (a kernel initialised with zeros, one clipped by `NonNeg`) is stored as
2^-100, 8e-31: no output can show it, and `value != 0` is the whole mask. So a mask needs no variable of its own,
follows the weights into every checkpoint, and is part of the state that a stateless backend carries through a
compiled step.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

PLACEHOLDER = 2.0**-100
# What weights that never move gather in a million steps is still far below this, and this far below any that matter.
NOTHING = 2.0**-60
SMALLEST_FLOAT16 = 2.0**-24


def smallest_masks(scores: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """Mark exactly `count` of the smallest scores of several arrays; equal scores are taken in their order.

    It runs on the host in linear time, and takes one copy of the scores.

    Args:
        scores: arrays of any shapes and one type, no NaN.
        count: how many to mark, from 0 to the number of all scores.
    Returns:
        Boolean arrays of the shapes of `scores`, with `count` True in all.

    >>> from keras_arch.ops.sparsity import smallest_masks
    >>> [mask.tolist() for mask in smallest_masks([np.array([3.0, 1.0]), np.array([[2.0, 1.0]])], 2)]
    [[False, True], [[False, True]]]
    """
    if count == 0:
        return [np.zeros(score.shape, bool) for score in scores]
    scratch = np.concatenate([score.reshape(-1) for score in scores])
    scratch.partition(count - 1)
    threshold = scratch[count - 1]
    del scratch
    marks = [score < threshold for score in scores]
    left = count - sum(int(np.count_nonzero(mark)) for mark in marks)
    for score, mark in zip(scores, marks, strict=True):
        ties = np.ascontiguousarray(score == threshold)
        found = int(np.count_nonzero(ties))
        if found > left:
            ties.reshape(-1)[np.flatnonzero(ties)[left:]] = False
        np.logical_or(mark, ties, out=mark)
        left -= min(found, left)
    return marks


def kept(value: Any) -> Any:
    """Read the mask out of a weight: True where it is kept.

    Args:
        value: weight written by `masked`, any shape.
    Returns:
        Boolean tensor of the same shape.

    >>> from keras_arch.ops.sparsity import kept, masked
    >>> keras.ops.convert_to_numpy(kept(masked(np.array([0.0, 2.0, 3.0], "float32"), np.array([True, True, False]))))
    array([ True,  True, False])
    """
    return ops.not_equal(value, 0)


def masked(value: Any, keep: Any) -> Any:
    """Write a mask into a weight: 0 where it is pruned, and where it is kept never 0.

    masked = value + 2^-100 where keep, else 0: rounding loses the small number beside any weight above 1e-23, and
    spares a comparison in every training step. float16 has no number so small: there a kept 0 is replaced by 6e-8.

    Args:
        value: weight of a floating type, any shape.
        keep: boolean, same shape.
    Returns:
        Tensor of the shape and type of `value`.

    >>> from keras_arch.ops.sparsity import masked
    >>> keep = np.array([True, True, False])
    >>> keras.ops.convert_to_numpy(masked(np.array([0.0, 2.0, 3.0], "float32"), keep)).round(3)
    array([0., 2., 0.], dtype=float32)
    """
    value = ops.convert_to_tensor(value)
    dtype = keras.backend.standardize_dtype(value.dtype)
    if dtype == "float16":
        value = ops.where(ops.equal(value, 0), ops.cast(SMALLEST_FLOAT16, dtype), value)
    else:
        value = ops.add(value, ops.cast(PLACEHOLDER, dtype))
    return ops.where(keep, value, ops.cast(0, dtype))


def settled(value: Any) -> Any:
    """Give kept zeros back: what `masked` stored as a number too small to matter becomes 0 again, of positive sign.

    Args:
        value: weight written by `masked`, any shape.
    Returns:
        Tensor of the same shape and type.

    >>> from keras_arch.ops.sparsity import masked, settled
    >>> weight = masked(np.array([0.0, 2.0], "float32"), np.array([True, True]))
    >>> float(keras.ops.convert_to_numpy(weight)[0]) > 0, float(keras.ops.convert_to_numpy(settled(weight))[0])
    (True, 0.0)
    """
    value = ops.convert_to_tensor(value)
    dtype = keras.backend.standardize_dtype(value.dtype)
    nothing = ops.cast(SMALLEST_FLOAT16 if dtype == "float16" else NOTHING, dtype)
    return ops.where(ops.less_equal(ops.abs(value), nothing), ops.zeros_like(value), value)


def zeros(value: Any) -> int:
    """Count the weights that are exactly 0: the pruned ones, or after `settled` all that are zero.

    Args:
        value: weight, any shape.

    >>> from keras_arch.ops.sparsity import zeros
    >>> zeros(np.array([[0.0, 1.0], [2.0, 0.0]], "float32"))
    2
    """
    return int(ops.sum(ops.cast(ops.equal(value, 0), "int32")))
