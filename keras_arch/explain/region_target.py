"""Targets that are regions of the output: a mask of a segmentation, a box of a detection."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.check import refuse
from keras_arch.explain.target import Selection

BOX_FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh")


@dataclass(frozen=True, eq=False)
class MaskTarget:
    """One class of a segmentation, summed over a region.

    F = Σ_p mask[p] · output[p, class]     p: position.

    Args:
        index: the class, a position on the channel axis.
        mask: bool or float array of the output's positions (H, W), or of these per sample (N, H, W); None: the
            positions that the model gives this class for the sample itself, held constant.
        mean: whether the sum is divided by that of the mask.
        data_format: "channels_last" or "channels_first"; None as in `keras.config.image_data_format()`.
    Raises:
        ValueError: in `explain`, if the class or the mask does not fit the output.
    Source: Vinogradova, Dibrov and Myers 2020, arXiv:2002.11434 (Seg-Grad-CAM).

    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 1, kernel_initializer="ones")])
    >>> mask = np.zeros((4, 4))
    >>> mask[:2] = 1
    >>> ka.explain.IntegratedGradients().explain(model, np.ones((1, 4, 4, 1)), MaskTarget(2, mask)).scores.tolist()
    [8.0]
    """

    index: int
    mask: Any = None
    mean: bool = False
    data_format: str | None = None

    def __post_init__(self) -> None:
        check.integer("index", self.index, minimum=0)
        if self.data_format is not None:
            check.one_of("data_format", self.data_format, ("channels_last", "channels_first"))

    def selection(self, outputs: Any, samples: int, path: tuple) -> Selection:
        """What is scored; see `keras_arch.explain.target.select`."""
        shape = tuple(getattr(outputs, "shape", ()))[1:]
        if keras.tree.is_nested(outputs) or len(shape) < 2:
            received = f"{len(outputs)} outputs" if keras.tree.is_nested(outputs) else f"shape {shape} per sample"
            raise ValueError(
                f"target must be a MaskTarget for one output with positions and channels; the model has {received}. "
                "For several outputs pass target={'name of the output': MaskTarget(...)}."
            )
        first = (self.data_format or keras.config.image_data_format()) == "channels_first"
        channels, positions = (shape[0], shape[1:]) if first else (shape[-1], shape[:-1])
        if self.index >= channels:
            advice = f"Choose an index below {channels}."
            raise refuse(
                "index", f"must lie within 0..{channels - 1} for an output of shape {shape}", self.index, advice
            )
        if self.mask is None:
            return Selection(path, "measure", np.zeros((samples, 0), "float32"), _OwnMask(self.index, self.mean, first))
        mask = np.asarray(self.mask)
        if mask.shape not in (positions, (samples, *positions)) or mask.dtype.kind not in "fiub":
            raise ValueError(
                f"mask must be numbers of shape {positions} or {(samples, *positions)}, the output's positions; "
                f"received dtype {mask.dtype}, shape {mask.shape}. Resize it to the output."
            )
        mask = np.broadcast_to(mask.astype("float32"), (samples, *positions))
        sums = mask.reshape(samples, -1).sum(1)
        if not np.isfinite(sums).all() or not sums.all():
            raise ValueError("mask must be finite and mark at least one position of each sample. Check it: mask.sum().")
        if self.mean:
            mask = mask / sums.reshape(-1, *[1] * len(positions))
        weights = np.zeros((samples, *positions, channels), "float32")
        weights[..., self.index] = mask
        return Selection(path, "weights", np.moveaxis(weights, -1, 1) if first else weights)


@dataclass(frozen=True, repr=False)
class _OwnMask:
    """Sum of one class over the positions where it is the largest."""

    index: int
    mean: bool
    channels_first: bool

    def __repr__(self) -> str:
        return f"MaskTarget({self.index}{', mean=True' if self.mean else ''})"

    def __call__(self, nothing: Any, outputs: Any) -> Any:
        if self.channels_first:
            outputs = ops.moveaxis(outputs, 1, -1)
        own = ops.cast(ops.equal(ops.argmax(outputs, axis=-1), self.index), "float32")
        axes = tuple(range(1, len(own.shape)))
        total = ops.sum(own * outputs[..., self.index], axis=axes)
        return total / ops.maximum(ops.sum(own, axis=axes), 1.0) if self.mean else total


@dataclass(frozen=True, eq=False)
class BoxTarget:
    """One detected object: the candidate that fits a box and a class best.

    F = max_a IoU(box_a, box) · p_a[class]     a: candidates (anchors) of a detection head.

    Args:
        box: four numbers, or (N, 4), one box per sample, in `box_format` and the units of the model's boxes.
        index: the class, a position on the last axis of the class scores.
        boxes: name or position of the output with the boxes (N, A, 4).
        classes: name or position of the output with class scores (N, A, C).
        box_format: "xyxy" (left, top, right, bottom), "yxyx", "xywh" (left, top, width, height) or "center_xywh".
        decode: None, or a hashable function from the output with the boxes to boxes in `box_format`, for heads that
            return offsets from anchors.
    Raises:
        ValueError: here for a box without an area, in `explain` if the outputs have no such parts or shapes.
    Source: Petsiuk et al. 2021, arXiv:2006.03204 (D-RISE), with the class's score in place of its cosine.

    >>> target = BoxTarget((0, 0, 2, 2), 1)
    >>> outputs = {"boxes": keras.KerasTensor((1, 5, 4)), "classes": keras.KerasTensor((1, 5, 3))}
    >>> ka.explain.target.select(target, outputs, samples=2)[0].value.shape
    (2, 4)
    """

    box: Any
    index: int
    boxes: str | int = "boxes"
    classes: str | int = "classes"
    box_format: str = "xyxy"
    decode: Callable | None = None

    def __post_init__(self) -> None:
        check.integer("index", self.index, minimum=0)
        check.one_of("box_format", self.box_format, BOX_FORMATS)
        box = np.asarray(self.box, "float32")
        if box.ndim not in (1, 2) or box.shape[-1] != 4 or not np.isfinite(box).all():
            raise refuse("box", "must be four finite numbers, or four per sample", self.box, "Pass (N, 4) at most.")
        corners = ops.convert_to_numpy(_corners(ops.convert_to_tensor(box), self.box_format))
        if not (corners[..., 2:] > corners[..., :2]).all():
            raise refuse("box", f"must have an area in the format {self.box_format!r}", self.box, "Check box_format.")

    def selection(self, outputs: Any, samples: int, path: tuple) -> Selection:
        """What is scored; see `keras_arch.explain.target.select`."""
        names = list(outputs) if isinstance(outputs, dict) else list(range(len(outputs))) if _is_list(outputs) else []
        missing = [name for name in (self.boxes, self.classes) if name not in names]
        if missing:
            raise ValueError(
                f"target must name outputs of the model as boxes and classes; {missing[0]!r} is none of {names}. "
                "Pass BoxTarget(..., boxes=..., classes=...)."
            )
        boxes, classes = tuple(outputs[self.boxes].shape), tuple(outputs[self.classes].shape)
        if len(classes) != 3 or self.index >= classes[-1]:
            raise ValueError(
                f"index must name a class of the output {self.classes!r}, of shape (N, candidates, classes); it has "
                f"shape {classes}, and received index={self.index}. Choose an index below the number of classes."
            )
        if self.decode is None and (len(boxes) != 3 or boxes[1:] != (classes[1], 4)):
            raise ValueError(
                f"boxes must name an output of shape (N, {classes[1]}, 4); {self.boxes!r} has shape {boxes}. Pass "
                "decode=, a function from it to boxes."
            )
        box = np.asarray(self.box, "float32")
        if box.ndim == 2 and len(box) != samples:
            raise refuse("box", f"must hold one row per sample, {samples} in all", self.box, "Pass as many rows.")
        measure = _BestBox(self.index, self.boxes, self.classes, self.box_format, self.decode)
        return Selection(path, "measure", np.broadcast_to(box, (samples, 4)), measure)


@dataclass(frozen=True)
class _BestBox:
    """Largest product of overlap and score over the candidates."""

    index: int
    boxes: str | int
    classes: str | int
    box_format: str
    decode: Callable | None

    def __call__(self, box: Any, outputs: Any) -> Any:
        found = outputs[self.boxes]
        found = _corners(found if self.decode is None else self.decode(found), self.box_format)  # (N, A, 4)
        wanted = ops.expand_dims(_corners(box, self.box_format), 1)  # (N, 1, 4)
        size = ops.minimum(found[..., 2:], wanted[..., 2:]) - ops.maximum(found[..., :2], wanted[..., :2])
        common = ops.prod(ops.maximum(size, 0.0), axis=-1)  # (N, A)
        areas = [ops.prod(ops.maximum(part[..., 2:] - part[..., :2], 0.0), axis=-1) for part in (found, wanted)]
        overlap = common / ops.maximum(areas[0] + areas[1] - common, 1e-12)
        return ops.max(overlap * outputs[self.classes][..., self.index], axis=-1)


def _is_list(outputs: Any) -> bool:
    return isinstance(outputs, list | tuple)


def _corners(boxes: Any, box_format: str) -> Any:
    """Boxes (…, 4) as left, top, right, bottom."""
    if box_format == "xyxy":
        return boxes
    if box_format == "yxyx":
        return ops.take(boxes, [1, 0, 3, 2], axis=-1)
    near, size = boxes[..., :2], boxes[..., 2:]
    if box_format == "center_xywh":
        near = near - size / 2
    return ops.concatenate([near, near + size], axis=-1)
