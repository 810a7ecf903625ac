"""The way from a blurred picture to the sharp one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain.gradient.paths import Path
from keras_arch.explain.target import Selection
from keras_arch.ops.diffusion import diffusion

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class BlurPath(Path):
    """From the input under a wide blur to the input itself: no baseline has to be invented.

    γ(t) = blur of x of standard deviation (1 - t) sigma,   along every axis of positions.
    x: the input, (N, positions…, C).   t: 0 to 1.

    As a rule of `Probe.accumulate` its batched value is x; a step is (weight, matrices): for each array of x two
    matrices per axis, the blur and its derivative by t.

    Args:
        sigma: widest standard deviation, in cells (pixels), > 0. The start keeps what this blur leaves, so values add
            up to the difference of the score to there; where sigma is far above the size of the picture, it is the
            mean of each channel.
        data_format: "channels_last" or "channels_first"; None is `keras.config.image_data_format()`.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, if an input has no axis of positions.
    Source: Xu, Venugopalan and Sundararajan 2020, arXiv:2004.03383. Their code cuts a sampled Gaussian off, pads with
    zeros and takes differences between widths; here the blur is diffusion with closed borders
    (`keras_arch.ops.diffusion`), whose derivative is exact.

    >>> model = keras.Sequential([keras.Input((4, 1)), keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)])
    >>> x = np.array([[[0.0], [0.0], [4.0], [0.0]]])
    >>> attribution = ka.explain.IntegratedGradients(path=BlurPath(sigma=20.0)).explain(model, x)
    >>> attribution.baseline.round(3).ravel().tolist(), bool(attribution.convergence_delta[0] < 1e-4)
    ([1.0, 1.0, 1.0, 1.0], True)
    """

    sigma: float = 50.0
    data_format: str | None = None

    def __post_init__(self) -> None:
        check.real("sigma", self.sigma, minimum=0, maximum=float("inf"), open_minimum=True, open_maximum=True)
        if self.data_format is not None:
            check.one_of("data_format", self.data_format, ("channels_last", "channels_first"))

    def start(self, baseline: Any, stop: Any) -> Any:
        """The input under the widest blur; `baseline` is not read."""
        blurred = self.at(stop, (1.0, self._matrices(stop, 0.0)))
        return keras.tree.map_structure(lambda leaf: ops.convert_to_numpy(leaf).astype("float32"), blurred)

    def at(self, batched: Any, step: tuple) -> Any:
        """γ(t)."""
        return _each(self._blur, batched, step[1])

    def add(self, total: Any, gradient: Any, batched: Any, step: tuple) -> Any:
        """The total plus weight · gradient · γ'(t)."""
        way = _each(self._slope, batched, step[1])
        return keras.tree.map_structure(lambda sums, part, slope: sums + step[0] * part * slope, total, gradient, way)

    def integrate(
        self,
        probe: "Probe",
        inputs: Any,
        selections: tuple[Selection, ...],
        ends: tuple[Any, Any],
        rule: tuple[np.ndarray, np.ndarray],
    ) -> Any:
        """See `Path.integrate`."""
        stop = ends[1]
        zeros = keras.tree.map_structure(np.zeros_like, stop)
        steps = [(weight, self._matrices(stop, node)) for node, weight in zip(*rule, strict=True)]
        return probe.accumulate(self, inputs, selections, stop, zeros, steps)

    def _first_axis(self, leaf: Any) -> int:
        """First axis of positions."""
        if len(leaf.shape) < 3:
            raise ValueError(
                f"path must fit inputs that have positions to be blurred over; BlurPath met an input of shape "
                f"{tuple(leaf.shape)}. Use path=None for tables."
            )
        return 2 if (self.data_format or keras.config.image_data_format()) == "channels_first" else 1

    def _matrices(self, stop: Any, node: float) -> list:
        """For each array, for each axis of positions, the blur at t = node and its derivative by t."""
        found = []
        for leaf in keras.tree.flatten(stop):
            first = self._first_axis(leaf)
            lengths = leaf.shape[first : first + leaf.ndim - 2]
            pairs = [diffusion(length, (1 - node) * self.sigma) for length in lengths]
            found.append([(blur.astype("float32"), (-self.sigma * slope).astype("float32")) for blur, slope in pairs])
        return found

    def _blur(self, leaf: Any, pairs: list) -> Any:
        for axis, (blur, _) in enumerate(pairs, start=self._first_axis(leaf)):
            leaf = _along(leaf, blur, axis)
        return leaf

    def _slope(self, leaf: Any, pairs: list) -> Any:
        """Product rule: the derivative along one axis, the blur along the others, summed."""
        first, total = self._first_axis(leaf), 0.0
        for moving in range(len(pairs)):
            part = leaf
            for axis, pair in enumerate(pairs):
                part = _along(part, pair[int(axis == moving)], first + axis)
            total = total + part
        return total


def _each(change: Any, batched: Any, matrices: list) -> Any:
    leaves = [change(leaf, pairs) for leaf, pairs in zip(keras.tree.flatten(batched), matrices, strict=True)]
    return keras.tree.pack_sequence_as(batched, leaves) if keras.tree.is_nested(batched) else leaves[0]


def _along(leaf: Any, matrix: Any, axis: int) -> Any:
    return ops.moveaxis(ops.tensordot(matrix, leaf, axes=[[1], [axis]]), 0, axis)
