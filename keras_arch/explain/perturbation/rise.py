"""RISE: the mean of random masks, weighted by the score of what they leave."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain import target
from keras_arch.explain.method import Method
from keras_arch.explain.perturbation.layout import check_data_format, layouts
from keras_arch.explain.perturbation.random_masks import RandomMasks, grow, random_masks
from keras_arch.explain.perturbation.stand_in import stand_in
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class RISE(Method):
    """One map per input: the mean score of the input seen through random masks that leave a position visible.

    map_i = 1 / (K · keep) · Σ_k F(x ⊙ m_k + b ⊙ (1 - m_k)) · m_k[i]
    x: the input.   b: the baseline.   m_k: a mask.   F: the score, the scalar that the target selects.

    Masks are the same for every sample, so an answer does not depend on batch mates; they are made on the device as
    they are needed. Several inputs are masked at once, each by masks of its own. A map counts the score itself, not a
    difference, so it is best read for probabilities, `explain(..., output="probabilities")`.

    Args:
        masks: K, >= 1; the error falls with its square root.
        grid: cells of a mask along each axis of positions. Vectors and token ids: each position is a cell.
        keep: probability that a cell stays visible, within (0, 1).
        baseline: what is seen where the mask is 0: a number, an array of one sample's shape, one of the batch's shape,
            or these in the inputs' structure. Inputs of integers take either their own value or the baseline's.
        seed: of the masks.
        data_format: "channels_last", "channels_first", or None for `keras.config.image_data_format()`.
    Raises:
        ValueError: if a setting is out of range.
    Source: Petsiuk, Das and Saenko 2018, arXiv:1806.07421, whose masks and baseline 0 these are, with 4000 masks for
    VGG-16 and 8000 for ResNet-50. The channel axis of the values has length 1.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> values = RISE(masks=2000).explain(model, [[3.0, 1.0]]).values    # near w_i x_i + 1/2 Σ_(j ≠ i) w_j x_j
    >>> bool(np.all(np.abs(values - [[3.5, 2.5]]) < 0.25))
    True
    """

    masks: int = 4000
    grid: int = 7
    keep: float = 0.5
    baseline: Any = 0.0
    seed: int = 0
    data_format: str | None = None

    def __post_init__(self) -> None:
        check.integer("masks", self.masks)
        check.integer("grid", self.grid)
        check.real("keep", self.keep, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
        check.integer("seed", self.seed, minimum=0)
        check_data_format(self.data_format)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        places = layouts(inputs, self.data_format)
        drawn = self._drawn(inputs, places)
        away = stand_in(self.baseline, None, inputs)
        predictions, scores = probe.predict(inputs, selections)
        selections = target.settle(selections, predictions)

        def arguments(samples: np.ndarray, versions: np.ndarray) -> tuple:
            return [one.parts(versions) for one in drawn], away.of(samples, versions)

        change = SeenThrough(tuple(where.channels for where in places))
        found = probe.variants(inputs, selections, change, self.masks, arguments)
        maps = [where.back(self._mean(found, one)[..., None]) for one, where in zip(drawn, places, strict=True)]
        return {
            "values": keras.tree.pack_sequence_as(inputs, maps) if keras.tree.is_nested(inputs) else maps[0],
            "target": target.record(selections),
            "predictions": predictions,
            "scores": scores,
        }

    def _drawn(self, inputs: Any, places: list) -> list[RandomMasks]:
        generator = np.random.default_rng(self.seed)
        drawn = []
        for leaf, where in zip(keras.tree.flatten(inputs), places, strict=True):
            alone = where.channels is None
            grid = max(where.size, default=1) if alone else self.grid
            smooth = leaf.dtype.kind == "f" and not alone
            drawn.append(random_masks(where.size, self.masks, grid, self.keep, smooth, generator))
        return drawn

    def _mean(self, found: np.ndarray, drawn: RandomMasks) -> np.ndarray:
        """(N, K) scores → (N, *size), a few masks at a time."""
        total = np.zeros((len(found), int(np.prod(drawn.size))))
        for first in range(0, self.masks, 64):
            some = np.arange(first, min(first + 64, self.masks))
            total += found[:, some] @ grow(np, *drawn.parts(some)).reshape(len(some), -1)
        return (total / (self.masks * self.keep)).reshape(-1, *drawn.size).astype("float32")


@dataclass(frozen=True)
class SeenThrough:
    """Samples blended with a baseline by masks.

    Args:
        channels: for each input the axis of its channels, the batch left out, or None.

    >>> x, cells, weights = np.ones((1, 2, 1)), np.array([[0.0, 1.0]]), np.eye(2)[None]
    >>> keras.ops.convert_to_numpy(SeenThrough((1,))(x, [[cells, weights]], [5 * x])).ravel().tolist()
    [5.0, 1.0]
    """

    channels: tuple[int | None, ...]

    def __call__(self, inputs: Any, masks: list, away: list) -> Any:
        """Inputs, the parts of their masks, and what is seen where a mask is 0; all tensors of P rows."""
        leaves = []
        for leaf, parts, other, axis in zip(keras.tree.flatten(inputs), masks, away, self.channels, strict=True):
            mask = grow(ops, *parts)
            mask = mask if axis is None else ops.expand_dims(mask, 1 + axis)
            if keras.backend.is_float_dtype(keras.backend.standardize_dtype(leaf.dtype)):
                leaves.append(mask * leaf + (1 - mask) * other)
            else:
                leaves.append(ops.where(mask > 0.5, leaf, ops.cast(other, leaf.dtype)))
        return keras.tree.pack_sequence_as(inputs, leaves) if keras.tree.is_nested(inputs) else leaves[0]
