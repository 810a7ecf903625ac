"""Occlusion: how much the score falls when a window of the input is covered."""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain import target
from keras_arch.explain.method import Method
from keras_arch.explain.perturbation.layout import Layout, check_data_format, layouts, per_input
from keras_arch.explain.perturbation.stand_in import stand_in
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class Occlusion(Method):
    """How much the score falls, on average, when a window that covers a position hides it.

    values_i = mean over the windows that cover i of F(x) - F(x with the window set to the baseline)
    x: the input.   F: the score, the scalar that the target selects.

    Windows start at the multiples of the stride, until the end is covered; the last one may reach over it. Each covers
    all channels, unless it says how many. Several inputs are covered one at a time. It needs one forward pass for each
    window.

    Args:
        window: positions covered along each axis: one number for all, or a tuple with one for each axis of positions,
            or with one more, where the channels are, for windows over channels. For several inputs a dict or list of
            these nested like them, or one for all.
        stride: steps between windows, in the same forms, >= 1 and at most the window, so that none is left out. None:
            half the window.
        baseline: what covers: a number, an array of one sample's shape, one of the batch's shape, or these in the
            inputs' structure; for token ids an id.
        data_format: "channels_last", "channels_first", or None for `keras.config.image_data_format()`.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, a window is larger than an input.
    Source: Zeiler and Fergus 2014, arXiv:1311.2901, who draw the score itself; with its fall, averaged where windows
    overlap, these are the numbers of Captum's Occlusion.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> Occlusion(window=2, stride=1).explain(model, [[1.0, 2.0, 4.0, 8.0]]).values.tolist()
    [[3.0, 4.5, 9.0, 12.0]]
    """

    window: Any
    stride: Any = None
    baseline: Any = 0.0
    data_format: str | None = None

    def __post_init__(self) -> None:
        check_data_format(self.data_format)
        for one in keras.tree.flatten(self.window):
            check.integer("window", one)
        for one in keras.tree.flatten(self.stride):
            if one is not None:
                check.integer("stride", one)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        places = layouts(inputs, self.data_format)
        windows = [_spans("window", *pair) for pair in zip(_each("window", self.window, inputs), places, strict=True)]
        strides = _each("stride", self.stride, inputs)
        steps = [_steps(*triple) for triple in zip(strides, windows, places, strict=True)]
        bounds = _bounds([where.shape for where in places], windows, steps)
        away = stand_in(self.baseline, None, inputs)
        predictions, scores = probe.predict(inputs, selections)
        selections = target.settle(selections, predictions)

        def arguments(samples: np.ndarray, versions: np.ndarray) -> tuple:
            return [one[versions] for one in bounds], away.of(samples, versions)

        found = probe.variants(inputs, selections, cover, len(bounds[0]), arguments)
        falls = scores[:, None] - found.astype("float64")
        values = [average(falls, one, where.shape) for one, where in zip(bounds, places, strict=True)]
        return {
            "values": keras.tree.pack_sequence_as(inputs, values) if keras.tree.is_nested(inputs) else values[0],
            "target": target.record(selections),
            "predictions": predictions,
            "scores": scores,
        }


def cover(inputs: Any, bounds: list, away: list) -> Any:
    """Samples with a box of each input replaced.

    Args:
        inputs: structure of tensors, P rows.
        bounds: for each input int32 (P, axes, 2), first position and the one after the last; an empty box covers
            nothing.
        away: for each input what covers, (P, *shape or 1).

    >>> x = np.array([[1.0, 2.0, 3.0]])
    >>> keras.ops.convert_to_numpy(cover(x, [np.array([[[1, 3]]])], [np.zeros((1, 1))])).tolist()
    [[1.0, 0.0, 0.0]]
    """
    leaves = []
    for leaf, box, other in zip(keras.tree.flatten(inputs), bounds, away, strict=True):
        rows, first = leaf.shape[:2]
        inside = ops.ones((rows, 1), "bool")
        for axis, length in reversed(list(enumerate(leaf.shape[1:]))):
            at = ops.expand_dims(ops.arange(length, dtype="int32"), 0)
            here = ops.logical_and(at >= box[:, axis, :1], at < box[:, axis, 1:])  # (P, length)
            inside = ops.logical_and(ops.expand_dims(here, -1), ops.expand_dims(inside, 1))
            inside = ops.reshape(inside, (rows, -1)) if axis else inside  # (P, length · the axes after it)
        flat = (rows, first, -1)  # three axes and equal shapes: choosing with a mask that is spread takes far longer
        spread = ops.reshape(ops.broadcast_to(ops.cast(other, leaf.dtype), leaf.shape), flat)
        leaves.append(ops.reshape(ops.where(inside, spread, ops.reshape(leaf, flat)), leaf.shape))
    return keras.tree.pack_sequence_as(inputs, leaves) if keras.tree.is_nested(inputs) else leaves[0]


def average(falls: np.ndarray, bounds: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Mean fall at each position over the boxes that cover it.

    Args:
        falls: (N, W).   W: boxes.
        bounds: (W, axes, 2), as `cover` takes them.
        shape: of one sample.
    Returns:
        float32 array (N, *shape).

    >>> average(np.array([[1.0, 3.0]]), np.array([[[0, 2]], [[1, 3]]]), (3,)).tolist()
    [[1.0, 2.0, 3.0]]
    """
    total, covered = np.zeros((len(falls), *shape)), np.zeros(shape)
    for fall, box in zip(falls.T, bounds, strict=True):
        place = tuple(slice(*ends) for ends in box)
        total[(slice(None), *place)] += fall.reshape(-1, *[1] * len(shape))
        covered[place] += 1
    return (total / covered).astype("float32")


def _each(argument: str, setting: Any, inputs: Any) -> list[Any]:
    """One setting an input; a list where there is one input, as JSON stores a tuple, is that input's."""
    if isinstance(setting, list) and not keras.tree.is_nested(inputs):
        setting = tuple(setting)
    return per_input(argument, setting, inputs)


def _spans(argument: str, setting: Any, where: Layout) -> tuple[int, ...]:
    """Lengths along every axis of a sample; all channels where the setting does not speak of them."""
    size = where.size
    lengths = tuple(setting) if isinstance(setting, list | tuple) else (setting,) * len(size)
    if len(lengths) == len(size) and where.channels is not None:
        lengths = (*lengths[: where.channels], where.shape[where.channels], *lengths[where.channels :])
    fits = len(lengths) == len(where.shape) > 0
    if not fits or any(length > limit for length, limit in zip(lengths, where.shape, strict=True)):
        raise ValueError(
            f"{argument} must fit into an input of shape {where.shape}: one number, or one for each of its {len(size)} "
            f"axes of positions, none larger than the axis; received {argument}={check.describe(setting)}. For several "
            "inputs pass one for each, nested like them."
        )
    return lengths


def _steps(stride: Any, window: tuple[int, ...], where: Layout) -> tuple[int, ...]:
    if stride is None:
        return tuple(max(length // 2, 1) for length in window)
    steps = _spans("stride", stride, where)
    if any(step > length for step, length in zip(steps, window, strict=True)):
        both = f"received stride={check.describe(stride)} for a window of {window}"
        raise ValueError(f"stride must be at most the window, or positions are left out; {both}. Pass stride=None.")
    return steps


def _bounds(shapes: list, windows: list, steps: list) -> list[np.ndarray]:
    """For each input int32 (W, axes, 2), W: windows over all inputs; a window of another input is an empty box."""
    boxes = []
    for shape, window, stride in zip(shapes, windows, steps, strict=True):
        ends = [
            [(low, min(low + width, length)) for low in range(0, length - width + step, step)]
            for length, width, step in zip(shape, window, stride, strict=True)
        ]
        boxes.append(np.array(list(itertools.product(*ends)), "int32"))  # (windows, axes, 2)
    total, bounds, first = sum(map(len, boxes)), [], 0
    for box in boxes:
        own = np.zeros((total, *box.shape[1:]), "int32")
        own[first : first + len(box)] = box
        bounds.append(own)
        first += len(box)
    return bounds
