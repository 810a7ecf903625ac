"""The pointing game: whether the best position lies on the object."""

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.metrics.measurement import Measurement
from keras_arch.explain.metrics.metric import Metric
from keras_arch.explain.metrics.positions import channel_axis, fitted
from keras_arch.explain.metrics.subject import Subject


@register
@dataclass(frozen=True, eq=False, repr=False)
class PointingGame(Metric):
    """Whether the position of the largest attribution lies on the object, or no further from it than a tolerance.

    value = 1 if some position of the object is at most `tolerance` from argmax over positions of Σ_c a, else 0
    a: the attribution.   c: channel.   Distances are Euclidean, between the middles of pixels.

    Higher is better; the mean over samples is the paper's accuracy. Of several largest positions the first in memory
    counts. A constant map points nowhere and has 0; a sample without an object has NaN. The model is not read.

    Args:
        regions: where the objects are: an array of bools (N, positions…), also with a channel axis of one, or for each
            sample one box or a list of boxes (first row, first column, last row, last column), in pixels, the last
            ones not included; where there is one axis of positions, (first, last).   N: samples.
        tolerance: in positions, >= 0. A circle of it must fit into the input.
    Raises:
        ValueError: if a setting breaks its rule, the regions do not fit the inputs, or there are several inputs with
            attributions.
    Source: Zhang et al. 2018, arXiv:1608.00507, section 4.1, whose tolerance is 15 pixels on photographs.

    >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(),
    ...                           keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, np.reshape([0.0, 0.0, 0.0, 1.0], (1, 2, 2, 1)))
    >>> right_half = ka.explain.metrics.PointingGame(regions=[(0, 1, 2, 2)], tolerance=0)
    >>> right_half.measure(model, attribution).values.tolist()
    [1.0]
    """

    direction: ClassVar[str] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    regions: Any = None
    tolerance: float = 15

    def __post_init__(self) -> None:
        if self.regions is None:
            advice = "Pass PointingGame(regions=masks), or regions=boxes."
            raise check.refuse("regions", "must say where the objects are", None, advice)
        check.real("tolerance", self.tolerance, minimum=0, maximum=float("inf"), open_maximum=True)

    def compute(self, subject: Subject) -> dict[str, Any]:
        """See `Metric.compute`."""
        leaves = keras.tree.flatten(subject.inputs)
        found = [(part, leaf) for part, leaf in zip(fitted(subject.values, leaves, "position"), leaves, strict=True)]
        found = [(part, leaf) for part, leaf in found if part is not None]
        if len(found) != 1:
            raise ValueError(
                f"attribution must be of one input to point somewhere; received one of {len(found)}. "
                "Keep the values and inputs of one: dataclasses.replace(attribution, values=..., inputs=...)."
            )
        [(part, leaf)] = found
        axis = channel_axis(part.ndim) if part.ndim == leaf.ndim else None
        maps = part if axis is None else part.squeeze(axis)  # (N, *positions)
        shape = maps.shape[1:]
        if self.tolerance and 2 * self.tolerance + 1 > min(shape):
            advice = "Pass a smaller tolerance; 0 asks for a hit on the object itself."
            raise check.refuse("tolerance", f"must let its circle fit into positions {shape}", self.tolerance, advice)
        objects = _masks(self.regions, maps.shape)
        flat = maps.reshape(len(maps), -1)
        points = np.stack(np.unravel_index(flat.argmax(axis=1), shape), axis=1)  # (N, axes)
        values = [_hit(*one, self.tolerance) for one in zip(points, objects, strict=True)]
        points_nowhere = (flat.max(axis=1) == flat.min(axis=1)) & ~np.isnan(values)
        return {"values": np.where(points_nowhere, 0, values).astype("float32")}


def _hit(point: np.ndarray, region: np.ndarray, tolerance: float) -> float:
    places = np.argwhere(region)
    if not len(places):
        return float("nan")
    return float((((places - point) ** 2).sum(axis=1) <= tolerance**2).any())


def _masks(regions: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Regions as bools (N, *positions)."""
    if isinstance(regions, np.ndarray) and regions.dtype == bool:
        masks = regions
        for axis in (1, -1):
            if masks.ndim == len(shape) + 1 and masks.shape[axis] == 1:
                masks = masks.squeeze(axis)
        if masks.shape != shape:
            rule = f"must be masks of shape {shape}, one for each sample"
            raise ValueError(f"regions {rule}; received masks of shape {regions.shape}. Resize them to the inputs.")
        return masks
    if not isinstance(regions, list | tuple | np.ndarray) or len(regions) != shape[0]:
        received = f"an array {regions.shape}" if isinstance(regions, np.ndarray) else check.describe(regions)
        raise ValueError(
            f"regions must be bools of shape {shape}, or hold boxes for {shape[0]} samples; received {received}. "
            "Cast masks to bool: masks > 0."
        )
    masks = np.zeros(shape, bool)
    for mask, boxes in zip(masks, regions, strict=True):
        for box in _boxes(boxes, mask.ndim):
            mask[tuple(slice(*ends) for ends in box)] = True
    return masks


def _boxes(boxes: Any, axes: int) -> np.ndarray:
    """The boxes of one sample as (boxes, axes, 2) whole numbers: first and behind the last."""
    array = np.asarray(boxes)
    if array.size == 0:
        return np.zeros((0, axes, 2), "int64")
    array = array[None] if array.ndim == 1 else array
    firsts, lasts = array[..., : array.shape[-1] // 2], array[..., array.shape[-1] // 2 :]
    if array.dtype.kind not in "fiu" or array.ndim != 2 or array.shape[1] != 2 * axes or not (firsts < lasts).all():
        rule = f"must have boxes of {2 * axes} numbers, the first ones below the last ones"
        advice = "Pass (first row, first column, last row, last column) for pictures, or masks of bools."
        raise check.refuse("regions", rule, array.tolist(), advice)
    ends = np.stack([np.floor(firsts), np.ceil(lasts)], axis=-1)  # (boxes, axes, 2)
    return np.maximum(ends, 0).astype("int64")


def pointing_game(
    model: Any, attribution: Attribution, *, regions: Any, tolerance: float = 15, **options: Any
) -> Measurement:
    """Ask whether the position of the largest attribution lies on the object: `PointingGame` at one call.

    Args:
        model: not read; None will do.
        attribution: what a method returned.
        regions: masks or boxes, see `PointingGame`.
        tolerance: in positions.
        **options: target, output, batch_size and verbose of `Metric.measure`, which change nothing here.

    >>> model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[0.0, 1.0, 0.0, 2.0, 0.0]])
    >>> region = np.array([[False, False, True, False, False]])
    >>> ka.explain.metrics.pointing_game(model, attribution, regions=region, tolerance=1).values.tolist()
    [1.0]
    """
    return PointingGame(regions, tolerance).measure(model, attribution, **options)
