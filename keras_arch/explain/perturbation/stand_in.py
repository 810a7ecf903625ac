"""What takes the place of features that are taken away: one baseline for each sample, or rows of other data."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.explain import baseline as baselines


@dataclass(frozen=True, eq=False)
class StandIn:
    """Inputs without the features: R versions of them, over which scores are averaged.

    Attributes:
        leaves: for each input an array of its dtype: (N, *shape) with a baseline of each sample, where an axis that
            shares one number has length 1; or (R, *shape) with the rows of a background.
        rows: R of a background; None for a baseline, where R = 1.
    """

    leaves: tuple[np.ndarray, ...]
    rows: int | None = None

    @property
    def count(self) -> int:
        """R, versions of each sample."""
        return self.rows or 1

    def of(self, samples: np.ndarray, versions: np.ndarray) -> list[np.ndarray]:
        """Rows for pairs of a sample and a version 0 … R - 1."""
        return [leaf[samples if self.rows is None else versions] for leaf in self.leaves]

    def pick(self, samples: np.ndarray) -> "StandIn":
        """The same for some of the samples."""
        return StandIn(tuple(leaf[samples] if self.rows is None else leaf for leaf in self.leaves), self.rows)


def stand_in(baseline: Any, background: Any, inputs: Any) -> StandIn:
    """Check a baseline or a background against the inputs.

    Args:
        baseline: as `keras_arch.explain.baseline.resolve` takes it; whole numbers for inputs that are integers.
        background: None; or R >= 1 samples in the inputs' structure, which take the baseline's place.
        inputs: structure of arrays, batch axis first.
    Raises:
        ValueError: if shapes do not fit, values are not finite, or a number for integers is not whole.

    >>> stand_in(3.0, None, np.zeros((2, 5), "int32")).leaves[0].tolist()
    [[3], [3]]
    """
    leaves = keras.tree.flatten(inputs)
    if background is None:
        starts = keras.tree.flatten(baselines.resolve(baseline, inputs))
        pairs = zip(starts, leaves, strict=True)
        return StandIn(tuple(_of_kind("baseline", _compact(start), leaf) for start, leaf in pairs))
    if np.ndim(baseline) or baseline:
        raise ValueError(
            "background must be None where a baseline is given: both stand for features that are away; received both. "
            "Leave baseline=0.0."
        )
    parts = _rows(background, inputs)
    return StandIn(tuple(_of_kind("background", *pair) for pair in zip(parts, leaves, strict=True)), len(parts[0]))


def keep_features(inputs: Any, kept: Any, labels: list, away: list) -> Any:
    """Samples whose positions keep their value where their feature is kept, and take the stand-in's elsewhere.

    Args:
        inputs: structure of tensors, P rows.
        kept: bool tensor (P, M).   M: features.
        labels: for each input the feature of each position, int32 (P, *shape or 1).
        away: for each input the stand-in, (P, *shape or 1).

    >>> x, labels = np.array([[1.0, 2.0, 3.0]]), np.array([[0, 0, 1]])
    >>> keras.ops.convert_to_numpy(keep_features(x, np.array([[True, False]]), [labels], [-x])).tolist()
    [[1.0, 2.0, -3.0]]
    """
    leaves, (rows, players) = [], kept.shape
    for leaf, label, other in zip(keras.tree.flatten(inputs), labels, away, strict=True):
        first = ops.reshape(ops.arange(rows, dtype="int32") * players, (-1, *[1] * (len(label.shape) - 1)))
        # Rows of a table as wide as the channels are copied in less time than a mask is spread over them.
        wide = leaf.shape[-1] if label.shape[-1] == 1 else 1
        table = ops.repeat(ops.reshape(ops.cast(kept, "float32"), (-1, 1)), wide, axis=1)  # (P · M, wide)
        stays = ops.reshape(ops.take(table, label + first, axis=0), (*label.shape[:-1], -1))
        if keras.backend.is_float_dtype(keras.backend.standardize_dtype(leaf.dtype)):
            leaves.append(stays * leaf + (1 - stays) * other)  # exact: one factor is 0, the other 1
        else:
            leaves.append(ops.where(stays > 0.5, leaf, other))
    return keras.tree.pack_sequence_as(inputs, leaves) if keras.tree.is_nested(inputs) else leaves[0]


def _compact(start: np.ndarray) -> np.ndarray:
    """Axes along which a broadcast array repeats one number cut to length 1: what is small travels fast."""
    return start[(slice(None), *(slice(1) if step == 0 else slice(None) for step in start.strides[1:]))]


def _rows(background: Any, inputs: Any) -> list[np.ndarray]:
    leaves = keras.tree.flatten(inputs)
    try:
        if keras.tree.is_nested(inputs):
            parts = keras.tree.flatten(keras.tree.map_structure_up_to(inputs, np.asarray, background))
        else:
            parts = [np.asarray(background)]
    except (ValueError, TypeError, KeyError):
        parts = []
    shapes = [part.shape for part in parts]
    fits = len(parts) == len(leaves) and all(
        part.ndim == leaf.ndim and part.shape[1:] == leaf.shape[1:] for part, leaf in zip(parts, leaves, strict=True)
    )
    if not fits or len({len(part) for part in parts}) > 1 or len(parts[0]) == 0:
        wanted = [f"(rows, {', '.join(map(str, leaf.shape[1:]))})" for leaf in leaves]
        raise ValueError(
            f"background must hold at least one sample, shaped {', '.join(wanted)} like the inputs; received shapes "
            f"{shapes}. Pass some training data, for example x_train[:50]."
        )
    return parts


def _of_kind(argument: str, values: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    """The values in the input's dtype."""
    if not np.isfinite(values).all():
        raise ValueError(f"{argument} must be finite; received NaN or infinity. Replace or drop these values.")
    cast = values.astype(leaf.dtype)
    if leaf.dtype.kind != "f" and not np.array_equal(cast, values):
        raise ValueError(
            f"{argument} must hold whole numbers for inputs of dtype {leaf.dtype}, such as the id of a token; received "
            f"for example {values[cast != values].flat[0]}. Pass the id that stands for nothing there."
        )
    return cast
