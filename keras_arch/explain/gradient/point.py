"""Methods whose values are made of what the model is looked at and the gradient of the score there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_arch.explain import place, target
from keras_arch.explain.method import Method, warn_if_flat
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@dataclass(frozen=True)
class Reading:
    """What a method reads at a point, as a hashable function of tensors.

    Args:
        times_point: whether the gradient is multiplied by the point.
        absolute: whether signs are dropped, last.
        merges: whether the point is a layer's, whose calls are summed.
    """

    times_point: bool = False
    absolute: bool = False
    merges: bool = False

    def __call__(self, point: Any, gradient: Any) -> Any:
        """Values, in the structure of the point, or of one call of the layer."""
        values = keras.tree.map_structure(ops.multiply, point, gradient) if self.times_point else gradient
        values = place.merge_calls(values) if self.merges else values
        return keras.tree.map_structure(ops.abs, values) if self.absolute else values

    def shaped(self, point: Any) -> Any:
        """Something of the structure and shapes of the values at this point."""
        return place.merge_calls(point) if self.merges else point


class PointMethod(Method):
    """Base of the methods that need one gradient. A subclass has a field `layer`, and defines `reading`."""

    layer: Any

    def reading(self, merges: bool) -> Reading:
        """What the method reads; `merges` where it looks at a layer."""
        raise NotImplementedError(f"{type(self).__module__}.{type(self).__qualname__} must define reading().")

    def seen(self, probe: "Probe") -> "Probe":
        """The probe that the method takes its gradients with."""
        return probe

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        probe, path = place.look(self.seen(probe), inputs, self.layer)
        reading = self.reading(path is not None)
        values, outputs, scores, steepest = [], [], [], 0.0
        for chunk in probe.gradients(inputs, selections):
            steepest = max(steepest, *(float(ops.max(ops.abs(leaf))) for leaf in keras.tree.flatten(chunk.gradient)))
            found = reading(chunk.point, chunk.gradient)
            for kept, part in zip((values, outputs, scores), (found, chunk.outputs, chunk.scores), strict=True):
                kept.append(keras.tree.map_structure(ops.convert_to_numpy, part))
        warn_if_flat(np.asarray(steepest), f"layer {path!r}" if path else "the inputs")
        values, predictions, scores = (
            keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *parts)
            for parts in (values, outputs, scores)
        )
        return {
            "values": values,
            "target": target.record(target.settle(selections, predictions)),
            "predictions": predictions,
            "scores": scores,
            "layer": path,
        }
