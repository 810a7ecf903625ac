"""Grad-CAM: feature maps of one layer, weighted by the mean gradient of the target."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_arch.core.registration import register
from keras_arch.explain.cam.class_activation import ClassActivationMap


@register
@dataclass(frozen=True, eq=False, repr=False)
class GradCAM(ClassActivationMap):
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
    Source: Selvaraju et al. 2017, arXiv:1610.02391. Positions are averaged, not summed, as in the paper. tf-explain's
    GradCAM is guided by default; Captum's LayerGradCam keeps both signs by default.

    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, name="features"),
    ...                           keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    >>> attribution = GradCAM().explain(model, np.ones((1, 8, 8, 1)))
    >>> attribution.values.shape, attribution.layer
    ((1, 8, 8, 1), 'features')
    """

    def combine(self, features: Any, gradient: Any) -> Any:
        """See `ClassActivationMap.combine`."""
        axes = tuple(range(1, len(features.shape) - 1))
        return ops.sum(features * ops.mean(gradient, axis=axes, keepdims=True), axis=-1)
