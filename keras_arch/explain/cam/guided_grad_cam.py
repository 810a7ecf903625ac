"""Guided Grad-CAM: the edges of guided backpropagation where Grad-CAM sees the target."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain.cam.grad_cam import GradCAM
from keras_arch.explain.cam.resize import resize
from keras_arch.explain.gradient.guided_backprop import GuidedBackprop
from keras_arch.explain.method import Method
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class GuidedGradCAM(Method):
    """Guided backpropagation at the input, times the Grad-CAM map of a layer spread over the input.

    values = g ⊙ U(ReLU(Σ_c α_c A_c))
    g: what `GuidedBackprop` finds at the input.   A, α: features and weights of `GradCAM`.   U: spreads the map.

    The map is spread over each input that has as many axes of positions as the layer; an input without gets zeros.
    For token ids g is taken at the embedding.

    Args:
        layer: name, path or object of the layer of the map, or None, as for `GradCAM`.
        interpolation: "linear" or "nearest", how the map is spread.
        data_format: "channels_last" or "channels_first", where layer and inputs have their channels; None asks the
            layer, then `keras.config.image_data_format()`.
    Raises:
        ValueError: in `explain`, as `GradCAM` and `GuidedBackprop` do.
    Source: Selvaraju et al. 2017, arXiv:1610.02391, section 3.2. Equal to Captum's GuidedGradCam, whose default
    interpolation is "nearest". It inherits the limits of `GuidedBackprop`.

    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, name="features"),
    ...                           keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    >>> GuidedGradCAM().explain(model, np.ones((1, 8, 8, 1))).values.shape
    (1, 8, 8, 1)
    """

    layer: Any = None
    interpolation: str = "linear"
    data_format: str | None = None

    def __post_init__(self) -> None:
        check.one_of("interpolation", self.interpolation, ("linear", "nearest"))
        if self.data_format is not None:
            check.one_of("data_format", self.data_format, ("channels_last", "channels_first"))

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        grad_cam = GradCAM(layer=self.layer, interpolation=None, data_format=self.data_format)
        first = grad_cam.located(probe, inputs)[2]
        found = grad_cam.attribute(probe, inputs, selections)
        maps = np.squeeze(found["values"], 1 if first else -1)  # (N, positions…)
        guided = GuidedBackprop().attribute(probe, inputs, selections)["values"]

        def product(leaf: np.ndarray) -> np.ndarray:
            if leaf.ndim != maps.ndim + 1:
                return np.zeros_like(leaf)
            spread = resize(maps, leaf.shape[2:] if first else leaf.shape[1:-1], self.interpolation)
            return leaf * np.expand_dims(spread, 1 if first else -1)

        return {**found, "values": keras.tree.map_structure(product, guided)}
