"""Curves of what a model says while the positions of its inputs are replaced, in the order of an attribution."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.explain import baseline as baselines
from keras_arch.explain.metrics.blur import Blur
from keras_arch.explain.metrics.positions import check_unit, fitted, is_tokens
from keras_arch.explain.metrics.subject import Subject


def check_settings(steps: int, unit: str, normalized: bool) -> None:
    """Raise unless the settings that deletion and insertion share keep their rules.

    >>> check_settings(8, "position", False)
    """
    check.integer("steps", steps)
    check_unit(unit)
    if not isinstance(normalized, bool):
        raise check.refuse("normalized", "must be a bool", normalized, "Pass True or False.")


def removal(
    subject: Subject, *, steps: int, baseline: Any, unit: str, normalized: bool, insert: bool
) -> dict[str, Any]:
    """Replace the best positions of each sample first and score it at equal steps; or put them back first.

    Positions of equal worth go in the order in which they lie in memory.

    Args:
        subject: what is judged.
        steps: at most so many steps; there are no more than positions.
        baseline: what stands in for a position: what `explain.baseline.resolve` takes, or a `Blur`.
        unit: "position" or "feature".
        normalized: whether scores are given as parts of the way from the baseline's to the input's.
        insert: whether to begin at the baseline and put positions back.
    Returns:
        The fields "values", "curves" and "fractions" of a `Measurement`.
    """
    leaves = keras.tree.flatten(subject.inputs)
    worth = fitted(subject.values, leaves, unit)
    if unit == "feature":
        worth = [
            part if part is None else np.broadcast_to(part, leaf.shape)
            for part, leaf in zip(worth, leaves, strict=True)
        ]
    ranks, positions = _ranks(worth, leaves, never=-1 if insert else None)
    counts = np.rint(np.linspace(0, positions, min(steps, positions) + 1)).astype("int32")  # (K + 1,)
    starts = [np.ascontiguousarray(_compact(start)) for start in _starts(baseline, subject.inputs)]

    def arguments(samples: np.ndarray, variants: np.ndarray) -> tuple:
        return counts[variants], [rank[samples] for rank in ranks], [_rows(start, samples) for start in starts]

    change = _put_back if insert else _remove
    curves = subject.probe.variants(subject.inputs, subject.selections, change, len(counts), arguments)
    fractions = counts / positions
    if normalized:
        low, high = curves[:, -1:], curves[:, :1]
        low, high = (high, low) if insert else (low, high)
        way = np.where(np.abs(high - low) > 1e-7, high - low, np.nan)
        curves = (curves - low) / way
    area = ((curves[:, 1:] + curves[:, :-1]) / 2 * np.diff(fractions)).sum(axis=1, dtype="float64")
    return {
        "values": area.astype("float32"),
        "curves": curves.astype("float32"),
        "fractions": fractions.astype("float32"),
    }


def _ranks(worth: list, leaves: list[np.ndarray], never: int | None) -> tuple[list[np.ndarray], int]:
    """For each input the places of its positions in the order of their worth, best first, that broadcast against it."""
    samples = len(leaves[0])
    known = [part for part in worth if part is not None]
    flat = np.concatenate([part.reshape(samples, -1) for part in known], axis=1)  # (N, P)
    order = np.argsort(-flat, axis=1, kind="stable")
    places = np.empty(order.shape, "int32")
    np.put_along_axis(places, order, np.arange(flat.shape[1], dtype="int32")[None], axis=1)
    ends = np.cumsum([part[0].size for part in known])[:-1]
    pieces = iter(np.split(places, ends, axis=1))
    idle = flat.shape[1] if never is None else never
    ranks = [
        np.full((samples, *[1] * (leaf.ndim - 1)), idle, "int32") if part is None else next(pieces).reshape(part.shape)
        for part, leaf in zip(worth, leaves, strict=True)
    ]
    return ranks, flat.shape[1]


def _starts(baseline: Any, inputs: Any) -> list[np.ndarray]:
    leaves = keras.tree.flatten(inputs)
    if isinstance(baseline, Blur):
        return [baseline(leaf) if leaf.ndim > 2 and not is_tokens(leaf) else np.zeros_like(leaf) for leaf in leaves]
    found = []
    for start, leaf in zip(keras.tree.flatten(baselines.resolve(baseline, inputs)), leaves, strict=True):
        if leaf.dtype.kind != "f" and (start != np.rint(start)).any():
            advice = "Pass the id that stands for no token, baseline=0 for example."
            raise check.refuse("baseline", f"must be whole for inputs of {leaf.dtype}", float(start.flat[0]), advice)
        found.append(start if leaf.dtype.kind == "f" else start.astype(leaf.dtype))
    return found


def _compact(array: np.ndarray) -> np.ndarray:
    """The array with one entry along each axis that was broadcast: one number needs no batch on its way to a device."""
    return array[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in array.strides)]


def _rows(array: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return array[samples] if len(array) > 1 else np.repeat(array, len(samples), axis=0)


def _remove(inputs: Any, count: Any, ranks: list, starts: list) -> Any:
    return _chosen(inputs, count, ranks, lambda picked, leaf, start: ops.where(picked, start, leaf), starts)


def _put_back(inputs: Any, count: Any, ranks: list, starts: list) -> Any:
    return _chosen(inputs, count, ranks, lambda picked, leaf, start: ops.where(picked, leaf, start), starts)


def _chosen(inputs: Any, count: Any, ranks: list, choose: Any, starts: list) -> Any:
    changed = []
    for leaf, rank, start in zip(keras.tree.flatten(inputs), ranks, starts, strict=True):
        bound = ops.reshape(count, (-1, *[1] * (len(rank.shape) - 1)))
        changed.append(choose(ops.less(rank, bound), leaf, start))
    return keras.tree.pack_sequence_as(inputs, changed) if keras.tree.is_nested(inputs) else changed[0]
