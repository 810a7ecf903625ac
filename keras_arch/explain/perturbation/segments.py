"""Which feature each position of the inputs belongs to."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.core.value import Value
from keras_arch.explain.perturbation.layout import Layout, layouts, per_input
from keras_arch.ops import superpixels


@register
@dataclass(frozen=True)
class Superpixels(Value):
    """Each connected piece of about one colour is a feature, by SLIC: for images, signals and volumes.

    Args:
        count: about how many pieces, >= 1.
        compactness: weight of positions against colours, > 0; larger pieces are squarer.
    Raises:
        ValueError: if a setting is out of range.
    Source: Achanta et al. 2012, doi:10.1109/TPAMI.2012.120; see `keras_arch.ops.superpixels`.

    >>> image = np.zeros((4, 8, 1))
    >>> image[:, 4:] = 1.0
    >>> Superpixels(count=2)(image)[0].tolist()
    [0, 0, 0, 0, 1, 1, 1, 1]
    """

    count: int = 50
    compactness: float = 10.0

    def __post_init__(self) -> None:
        check.integer("count", self.count)
        check.real("compactness", self.compactness, minimum=0, maximum=math.inf, open_minimum=True, open_maximum=True)

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        """Labels (*size) of a sample (*size, C)."""
        return superpixels.superpixels(sample, self.count, self.compactness)


@register
@dataclass(frozen=True)
class Patches(Value):
    """Each cell of a regular grid is a feature; cells at the end may be smaller.

    Args:
        size: positions along each axis of a cell, one number for all axes or one each, >= 1.
    Raises:
        ValueError: if `size` is out of range, or, when it is used, has another number of axes than the input.

    >>> Patches(2)(np.zeros((3, 4, 1))).tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3]]
    """

    size: Any = 16

    def __post_init__(self) -> None:
        for one in self.size if isinstance(self.size, list | tuple) else (self.size,):
            check.integer("size", one)

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        """Labels (*size) of a sample (*size, C)."""
        size = sample.shape[:-1]
        sides = tuple(self.size) if isinstance(self.size, list | tuple) else (self.size,) * len(size)
        if len(sides) != len(size):
            advice = "Pass one number for all axes."
            raise check.refuse("size", f"must have one number for each of the {len(size)} axes", self.size, advice)
        numbers = [-(-length // side) for length, side in zip(size, sides, strict=True)]
        places = np.indices(size) // np.reshape(sides, (-1, *[1] * len(size)))
        return np.ravel_multi_index(tuple(places), numbers) if size else np.zeros((), int)


@register
@dataclass(frozen=True)
class Positions(Value):
    """Each position is a feature, its channels together: pixels, steps of a signal, token ids, columns of a table.

    >>> Positions()(np.zeros((2, 2, 3))).tolist()
    [[0, 1], [2, 3]]
    """

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        """Labels (*size) of a sample (*size, C)."""
        return np.arange(math.prod(sample.shape[:-1])).reshape(sample.shape[:-1])


@register
@dataclass(frozen=True)
class Elements(Value):
    """Each number of the input is a feature, every channel of a position by itself.

    >>> Elements()(np.zeros((2, 3))).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        """Labels (*size, C) of a sample (*size, C)."""
        return np.arange(sample.size).reshape(sample.shape)


_FIXED = (Patches, Positions, Elements)  # these look at the shape alone


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Which feature each position belongs to, numbered from 0 across the inputs of a sample.

    Attributes:
        labels: for each input int32 (N or 1, *shape), 1 where an axis or the whole batch shares them.   N: samples.
        counts: (N,) M, the number of features of each sample.
    """

    labels: tuple[np.ndarray, ...]
    counts: np.ndarray

    def of(self, rows: np.ndarray) -> list[np.ndarray]:
        """Labels of these samples, a row each."""
        return [leaf[rows if len(leaf) > 1 else np.zeros_like(rows)] for leaf in self.labels]

    def pick(self, rows: np.ndarray) -> "Segmentation":
        """The same for some of the samples."""
        return Segmentation(tuple(leaf[rows] if len(leaf) > 1 else leaf for leaf in self.labels), self.counts[rows])

    def spread(self, features: np.ndarray, inputs: Any) -> Any:
        """(N, M) numbers of features → float32 arrays shaped like the inputs: each position has that of its feature."""
        rows = np.arange(len(features))
        leaves = []
        for labels, leaf in zip(self.of(rows), keras.tree.flatten(inputs), strict=True):
            own = features[rows.reshape(-1, *[1] * (labels.ndim - 1)), labels]
            leaves.append(np.array(np.broadcast_to(own, leaf.shape), "float32"))
        return keras.tree.pack_sequence_as(inputs, leaves) if keras.tree.is_nested(inputs) else leaves[0]

    def maps(self, inputs: Any) -> Any:
        """The labels as int32 arrays in the structure of the inputs, N rows, axes that share a label of length 1."""
        leaves = self.of(np.arange(len(self.counts)))
        return keras.tree.pack_sequence_as(inputs, leaves) if keras.tree.is_nested(inputs) else leaves[0]


def segment(segments: Any, inputs: Any, data_format: str | None = None) -> Segmentation:
    """Number the features of every sample.

    Args:
        segments: None: superpixels of float inputs with channels, else positions. A value such as `Patches(16)`, or a
            function from one sample (*size, C), channels last, to its int labels, (*size) or (*size, C); each input is
            numbered by itself. Or an int array of labels, of the inputs' positions or whole shape, for one sample or
            for the batch; equal labels are one feature, also across inputs. For several inputs one of these for all, or
            a dict or list of them nested like the inputs; label arrays and the rest cannot be mixed.
        inputs: structure of arrays, batch axis first.
        data_format: where channels are.
    Raises:
        ValueError: if labels are not whole numbers or do not fit an input.

    >>> segment(Patches(2), np.zeros((1, 3, 4, 1))).counts.tolist()
    [4]
    """
    leaves, places = keras.tree.flatten(inputs), layouts(inputs, data_format)
    if isinstance(segments, list | tuple) and not keras.tree.is_nested(inputs):
        segments = np.asarray(segments)
    wanted = per_input("segments", segments, inputs)
    if all(one is not None and not callable(one) for one in wanted):
        maps = [_given(one, leaf, where) for one, leaf, where in zip(wanted, leaves, places, strict=True)]
        return _renumbered(maps, len(leaves[0]))
    labels, first = [], np.zeros(len(leaves[0]), int)
    for one, leaf, where in zip(wanted, leaves, places, strict=True):
        if one is None:
            one = Superpixels() if where.channels is not None and leaf.dtype.kind == "f" else Positions()
        if not callable(one):
            advice = "Pass label arrays for all inputs or for none."
            raise check.refuse("segments", "must not mix label arrays with other kinds", segments, advice)
        own = _found(one, leaf, where)
        counts = own.reshape(len(own), -1).max(1) + 1
        shift = first if len(own) > 1 or first.min() != first.max() else first[:1]
        labels.append((own + shift.reshape(-1, *[1] * (own.ndim - 1))).astype("int32"))
        first = first + counts
    return Segmentation(tuple(labels), first)


def _found(segmenter: Callable, leaf: np.ndarray, where: Layout) -> np.ndarray:
    """Labels (N or 1, *shape) without gaps, as a function of one sample gives them."""
    samples = where.last(leaf[:1] if isinstance(segmenter, _FIXED) else leaf)
    maps = [_fitted(np.asarray(segmenter(sample)), sample.shape) for sample in samples]
    numbered = [np.unique(one, return_inverse=True)[1].reshape(one.shape) for one in maps]
    return where.back(np.stack(numbered))


def _fitted(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Labels with a channel axis, of length 1 or C."""
    labels = labels[..., None] if labels.shape == shape[:-1] else labels
    if labels.dtype.kind not in "iub" or labels.shape not in (shape, (*shape[:-1], 1)):
        raise ValueError(
            f"segments must, as a function, return whole numbers of shape {shape[:-1]} or {shape} for a sample of "
            f"shape {shape}; it returned {labels.dtype} of shape {labels.shape}. Return one label for each position."
        )
    return labels


def _given(labels: Any, leaf: np.ndarray, where: Layout) -> np.ndarray:
    """Labels (N or 1, *shape), an axis that shares them of length 1, from an array that the user made."""
    labels = np.asarray(labels)
    one_channel = tuple(1 if axis == where.channels else length for axis, length in enumerate(where.shape))
    if labels.dtype.kind in "iub":
        for lead in ((), (len(leaf),)):
            rows = labels if lead else labels[None]
            if labels.shape == (*lead, *where.size):
                return where.back(rows[..., None]) if where.channels is not None else rows
            if labels.shape in ((*lead, *where.shape), (*lead, *one_channel)):
                return rows
    raise ValueError(
        f"segments must be whole numbers shaped like the positions {where.size} or the whole {where.shape} of a "
        f"sample, or of each of the {len(leaf)} samples; received {labels.dtype} of shape {labels.shape}. Give each "
        "position the number of its feature, or pass for example Patches(16)."
    )


def _renumbered(maps: list[np.ndarray], samples: int) -> Segmentation:
    """The same features, numbered without gaps in each sample."""
    lead = max(map(len, maps))
    flat = np.concatenate([np.broadcast_to(leaf, (lead, *leaf.shape[1:])).reshape(lead, -1) for leaf in maps], axis=1)
    found = [np.unique(row, return_inverse=True) for row in flat]
    ends = np.cumsum([math.prod(leaf.shape[1:]) for leaf in maps])[:-1]
    parts = np.split(np.stack([inverse.reshape(-1) for _, inverse in found]), ends, axis=1)
    labels = [part.reshape(lead, *leaf.shape[1:]).astype("int32") for part, leaf in zip(parts, maps, strict=True)]
    return Segmentation(tuple(labels), np.broadcast_to([len(names) for names, _ in found], samples))
