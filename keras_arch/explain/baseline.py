"""Where a path of integrated gradients starts: the input that stands for "nothing there"."""

from typing import Any

import keras
import numpy as np

from keras_arch.core.check import refuse


def resolve(baseline: Any, inputs: Any) -> Any:
    """Spread a baseline over a batch: one array per input, each of that input's shape.

    Args:
        baseline: a number for every feature of every input; or an array of one sample's shape, shared by the batch;
            or an array of the whole batch's shape, one baseline per sample; or, for several inputs, any of these in
            the inputs' own structure.
        inputs: structure of arrays, batch axis first.
    Returns:
        The inputs' structure of float32 arrays (views where a value is shared).
    Raises:
        ValueError: if the structure or a shape does not fit, or a value is not finite.

    >>> resolve(0.5, np.zeros((2, 3), "float32")).shape
    (2, 3)
    """
    leaves = keras.tree.flatten(inputs)
    several = keras.tree.is_nested(inputs)
    if several and isinstance(baseline, dict | list | tuple):
        try:
            starts = keras.tree.flatten(keras.tree.map_structure_up_to(inputs, np.asarray, baseline))
        except (ValueError, TypeError, KeyError):
            advice = f"Pass {len(leaves)} baselines, nested like the inputs."
            raise refuse("baseline", "must be a number or have the inputs' structure", baseline, advice) from None
    else:
        starts = [np.asarray(baseline)] * len(leaves)
    spread = [_spread(start, leaf.shape) for start, leaf in zip(starts, leaves, strict=True)]
    return keras.tree.pack_sequence_as(inputs, spread) if several else spread[0]


def _spread(start: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if start.shape not in ((), shape[1:], shape):
        raise ValueError(
            f"baseline must be a number, or have the shape of one sample {shape[1:]} or of the batch {shape}; "
            f"received a baseline of shape {start.shape}. Reshape it, or pass baseline=0.0."
        )
    start = start.astype("float32")
    if not np.isfinite(start).all():
        raise ValueError("baseline must be finite; received a baseline with NaN or infinity. Replace these values.")
    return np.broadcast_to(start, shape)
