"""A distribution of baselines: rows that all stand for "nothing there"."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_arch.core.check import refuse
from keras_arch.core.registration import register
from keras_arch.explain import baseline as baselines
from keras_arch.explain.setting import Setting


@register
@dataclass(frozen=True, eq=False, repr=False)
class References(Setting):
    """Baselines over which integrated gradients are averaged: every row counts equally.

    Args:
        rows: (M, *shape of one sample) an array, or a structure of such arrays like the inputs; with `layer`, in the
            shape of that layer's output. The gradients per sample are M times the steps; for many rows
            `ExpectedGradients` draws them at random instead.
    Raises:
        ValueError: if there is no row, or, in `explain`, if the rows do not fit the inputs.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> method = ka.explain.IntegratedGradients(baseline=References([[0.0, 0.0], [2.0, 0.0]]))
    >>> method.explain(model, [[5.0, 3.0]]).values.round(4).tolist()
    [[4.0, 3.0]]
    """

    rows: Any

    def starts(self, stop: Any) -> list:
        """One baseline for the whole batch after the other, in the structure and shapes of `stop`."""
        rows = aligned("rows", self.rows, stop)
        count = len(keras.tree.flatten(rows)[0])
        each = [keras.tree.map_structure(lambda leaf, row=row: leaf[row], rows) for row in range(count)]
        return [baselines.resolve(row, stop) for row in each]


def aligned(argument: str, rows: Any, like: Any) -> Any:
    """Turn rows into arrays in the structure of `like`, with equally many rows and the shapes of its samples.

    Args:
        argument: name of the user's argument, for the error.
        rows: array, or structure of arrays.
        like: structure of arrays, batch axis first.
    """
    try:
        arrays = keras.tree.map_structure_up_to(like, np.asarray, rows)
    except (ValueError, TypeError, KeyError):
        advice = "Pass samples as you pass them to the model."
        raise refuse(argument, "must be arrays of rows in the inputs' structure", rows, advice) from None
    leaves, wanted = keras.tree.flatten(arrays), [leaf.shape[1:] for leaf in keras.tree.flatten(like)]
    counts = {leaf.shape[:1] for leaf in leaves}
    if len(counts) > 1 or counts & {(), (0,)} or [leaf.shape[1:] for leaf in leaves] != wanted:
        raise ValueError(
            f"{argument} must hold one row or more, each of one sample's shape {', '.join(map(str, wanted))}; received "
            f"shapes {', '.join(str(leaf.shape) for leaf in leaves)}. Pass samples, batch axis first."
        )
    return arrays
