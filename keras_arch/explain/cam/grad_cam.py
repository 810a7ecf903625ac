"""Grad-CAM: feature maps of one layer, weighted by the mean gradient of the target."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check, walk
from keras_arch.core.registration import register
from keras_arch.explain import place, target
from keras_arch.explain.cam.resize import resize
from keras_arch.explain.method import Method, warn_if_flat
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class GradCAM(Method):
    """One map per sample: where the feature maps of a layer hold evidence for the target.

    map = ReLU(Σ_c α_c A_c),   α_c = mean over positions of ∂F/∂A_c
    A: the layer's output, c: its channel.   F: the score, the scalar that the target selects.

    Without a layer it takes the last one, in the order in which the model runs, whose output has as many axes as the
    input, more than one position, and is not the model's own output; layers inside nested models count.

    Args:
        layer: name, path ("backbone/out_relu") or object of a layer whose output is (N, positions…, C) with one, two
            or three axes of positions; "encoder:1" is the second call of a shared layer, and over all calls of a layer
            the maps are summed before what speaks against the target is cut off. None chooses as said above.
        relu: whether evidence against the target is cut off, as in the paper.
        interpolation: "linear" or "nearest", how the map is spread over the input's size; None keeps the layer's size.
        data_format: "channels_last" or "channels_first", where the layer has its channels; None asks the layer, then
            `keras.config.image_data_format()`.
    Raises:
        ValueError: in `explain`, if the layer is unknown, does not lead to the target, or has no positions.
    Source: Selvaraju et al. 2017, arXiv:1610.02391. Positions are averaged, not summed, as in the paper.

    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, name="features"),
    ...                           keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    >>> attribution = GradCAM().explain(model, np.ones((1, 8, 8, 1)))
    >>> attribution.values.shape, attribution.layer
    ((1, 8, 8, 1), 'features')
    """

    layer: Any = None
    relu: bool = True
    interpolation: str | None = "linear"
    data_format: str | None = None

    def __post_init__(self) -> None:
        if self.interpolation is not None:
            check.one_of("interpolation", self.interpolation, ("linear", "nearest"))
        if self.data_format is not None:
            check.one_of("data_format", self.data_format, ("channels_last", "channels_first"))

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        wanted = self._last_with_positions(probe, inputs) if self.layer is None else self.layer
        tap, path = place.locate(probe.model, wanted)
        first = self._channels_first(tap.layer)
        maps, outputs, scores, steepest = [], [], [], 0.0
        for chunk in probe.at(tap).gradients(inputs, selections):
            calls = []
            for point, gradient in zip(*map(_listed, (chunk.point, chunk.gradient)), strict=True):
                if not 3 <= len(point.shape) <= 5:
                    raise ValueError(
                        f"layer must return one, two or three axes of positions beside batch and channels; "
                        f"{path!r} returns shape {tuple(point.shape)}. Choose a layer before pooling or flattening."
                    )
                steepest = max(steepest, float(ops.max(ops.abs(gradient))))
                calls.append(ops.convert_to_numpy(_map(point, gradient, first)))
            maps.append(place.merge_calls(calls))
            outputs.append(keras.tree.map_structure(ops.convert_to_numpy, chunk.outputs))
            scores.append(ops.convert_to_numpy(chunk.scores))
        warn_if_flat(np.asarray(steepest), f"layer {path!r}")
        predictions = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *outputs)
        return {
            "values": self._finish(np.concatenate(maps), inputs, first),
            "target": target.record(target.settle(selections, predictions)),
            "predictions": predictions,
            "scores": np.concatenate(scores),
            "layer": path,
        }

    def _finish(self, maps: np.ndarray, inputs: Any, channels_first: bool) -> np.ndarray:
        """(N, *positions) → (N, *size of the input, 1), the channel axis where the layer has it."""
        maps = np.maximum(maps, 0) if self.relu else maps
        if self.interpolation is not None:
            maps = resize(maps, _size_of_input(inputs, maps.ndim - 1, channels_first), self.interpolation)
        return np.expand_dims(maps, 1 if channels_first else -1)

    def _channels_first(self, layer: keras.Layer) -> bool:
        own = self.data_format or getattr(layer, "data_format", None)
        return (own or keras.config.image_data_format()) == "channels_first"

    def _last_with_positions(self, probe: "Probe", inputs: Any) -> str:
        ranks = {leaf.ndim for leaf in keras.tree.flatten(inputs) if leaf.ndim > 2 and leaf.dtype.kind == "f"}
        visits = probe.survey(inputs).visits
        for visit in reversed(visits):
            if len(visit.shape) in ranks and not visit.is_output:
                first = self._channels_first(walk.find(probe.model, visit.path))
                if np.prod(visit.shape[2:] if first else visit.shape[1:-1]) > 1:
                    return visit.path
        shapes = ", ".join(f"{visit.path} {visit.shape[1:]}" for visit in visits[-3:])
        raise ValueError(
            "layer must be given: no layer before the output returns feature maps of the inputs' number of axes. "
            f"The last layers return: {shapes or 'nothing'}. Pass GradCAM(layer=...), a layer of shape (positions, C)."
        )


def _listed(calls: Any) -> list:
    return calls if isinstance(calls, list) else [calls]


def _map(point: Any, gradient: Any, channels_first: bool) -> Any:
    rank = len(point.shape)
    if channels_first:
        point, gradient = ops.moveaxis(point, 1, -1), ops.moveaxis(gradient, 1, -1)
    alpha = ops.mean(gradient, axis=tuple(range(1, rank - 1)))  # (N, C)
    letters = "xyz"[: rank - 2]
    return ops.einsum(f"n{letters}c,nc->n{letters}", point, alpha)


def _size_of_input(inputs: Any, axes: int, channels_first: bool) -> tuple[int, ...]:
    """Positions of the first input that has as many axes of them, with channels or, as token ids, without."""
    leaves = keras.tree.flatten(inputs)
    for leaf in leaves:
        if leaf.ndim == axes + 2:
            return leaf.shape[2:] if channels_first else leaf.shape[1:-1]
    for leaf in leaves:
        if leaf.ndim == axes + 1:
            return leaf.shape[1:]
    raise ValueError(
        f"interpolation must be None where no input has {axes} axes of positions, as the layer does; the inputs have "
        f"shapes {[leaf.shape for leaf in leaves]}. Pass GradCAM(layer=..., interpolation=None)."
    )
