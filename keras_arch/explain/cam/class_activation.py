"""What class activation maps share: the layer they look at, and how a map of its size becomes one of the input's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check, walk
from keras_arch.explain import place, target
from keras_arch.explain.cam.resize import resize
from keras_arch.explain.method import Method, warn_if_flat
from keras_arch.explain.scene import Tap
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@dataclass(frozen=True, eq=False, repr=False)
class ClassActivationMap(Method):
    """Base of the maps: one per sample, of a layer whose output is (N, positions…, C).

    Without a layer it takes the last one, in the order in which the model runs, whose output has as many axes as the
    input, more than one position, and is not the model's own output; layers inside nested models count. A subclass
    defines `combine`, or `raw_maps`.

    Args:
        layer: name, path or object of the layer, or None.
        relu: whether evidence against the target is cut off.
        interpolation: "linear" or "nearest", how the map is spread over the input's size; None keeps the layer's size.
        data_format: "channels_last" or "channels_first", where the layer has its channels; None asks the layer, then
            `keras.config.image_data_format()`.
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

    def combine(self, features: Any, gradient: Any) -> Any:
        """Map (N, positions…) from the layer's output and the gradient there, tensors (N, positions…, C)."""
        raise NotImplementedError(f"{type(self).__module__}.{type(self).__qualname__} must define combine().")

    def raw_maps(
        self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...], path: str, channels_first: bool
    ) -> tuple[np.ndarray, Any, np.ndarray]:
        """Maps (N, positions…) of the layer's size and both signs, the outputs and the scores.

        Args:
            probe: the model, seen from the layer.
            inputs: checked arrays in the model's structure.
            selections: the checked target.
            path: of the layer, for messages.
            channels_first: whether its output is (N, C, positions…).
        """
        maps, outputs, scores, steepest = [], [], [], 0.0
        for chunk in probe.gradients(inputs, selections):
            calls = []
            for point, gradient in zip(*map(_listed, (chunk.point, chunk.gradient)), strict=True):
                check_positions(point, path)
                steepest = max(steepest, float(ops.max(ops.abs(gradient))))
                features, slope = (ops.moveaxis(part, 1, -1) if channels_first else part for part in (point, gradient))
                calls.append(ops.convert_to_numpy(self.combine(features, slope)))
            maps.append(place.merge_calls(calls))
            outputs.append(keras.tree.map_structure(ops.convert_to_numpy, chunk.outputs))
            scores.append(ops.convert_to_numpy(chunk.scores))
        warn_if_flat(np.asarray(steepest), f"layer {path!r}")
        predictions = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *outputs)
        return np.concatenate(maps), predictions, np.concatenate(scores)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        tap, path, first = self.located(probe, inputs)
        maps, predictions, scores = self.raw_maps(probe.at(tap), inputs, selections, path, first)
        maps = np.maximum(maps, 0) if self.relu else maps
        if self.interpolation is not None:
            maps = resize(maps, size_of_input(inputs, maps.ndim - 1, first), self.interpolation)
        return {
            "values": np.expand_dims(maps, 1 if first else -1),
            "target": target.record(target.settle(selections, predictions)),
            "predictions": predictions,
            "scores": scores,
            "layer": path,
        }

    def located(self, probe: "Probe", inputs: Any) -> tuple[Tap, str, bool]:
        """The layer, its path, and whether it has its channels first."""
        wanted = self._last_with_positions(probe, inputs) if self.layer is None else self.layer
        tap, path = place.locate(probe.model, wanted)
        return tap, path, self._channels_first(tap.layer)

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
            f"The last layers return: {shapes or 'nothing'}. Pass {type(self).__name__}(layer=...), a layer of shape "
            "(positions, C)."
        )


def check_positions(point: Any, path: str) -> None:
    """Refuse a layer whose output is not (N, one to three axes of positions, C)."""
    if not 3 <= len(point.shape) <= 5:
        raise ValueError(
            f"layer must return one, two or three axes of positions beside batch and channels; "
            f"{path!r} returns shape {tuple(point.shape)}. Choose a layer before pooling or flattening."
        )


def size_of_input(inputs: Any, axes: int, channels_first: bool) -> tuple[int, ...]:
    """Positions of the first input that has as many axes of them, with channels or, as token ids, without.

    >>> size_of_input(np.zeros((2, 8, 6, 3)), 2, channels_first=False)
    (8, 6)
    """
    leaves = keras.tree.flatten(inputs)
    for leaf in leaves:
        if leaf.ndim == axes + 2:
            return leaf.shape[2:] if channels_first else leaf.shape[1:-1]
    for leaf in leaves:
        if leaf.ndim == axes + 1:
            return leaf.shape[1:]
    raise ValueError(
        f"interpolation must be None where no input has {axes} axes of positions, as the layer does; the inputs have "
        f"shapes {[leaf.shape for leaf in leaves]}. Choose another layer, or pass interpolation=None."
    )


def _listed(calls: Any) -> list:
    return calls if isinstance(calls, list) else [calls]
