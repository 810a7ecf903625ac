"""HiResCAM: feature maps of one layer, weighted position by position by the gradient of the target."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_arch.core.registration import register
from keras_arch.explain.cam.class_activation import ClassActivationMap


@register
@dataclass(frozen=True, eq=False, repr=False)
class HiResCAM(ClassActivationMap):
    """One map per sample that shows the positions the model used: its sum is what the layer adds to the score.

    map = ReLU(Σ_c ∂F/∂A_c ⊙ A_c)
    A: the layer's output, c: its channel.   F: the score, the scalar that the target selects.

    Where only linear layers follow, the map without ReLU sums to the score less its bias. After global average pooling
    and one dense layer it equals Grad-CAM; otherwise Grad-CAM's mean gradient may mark positions that had no effect.

    Without a layer it takes the last one, in the order in which the model runs, whose output has as many axes as the
    input, more than one position, and is not the model's own output; layers inside nested models count.

    Args:
        layer: name, path ("backbone/out_relu") or object of a layer whose output is (N, positions…, C) with one, two
            or three axes of positions; "encoder:1" is the second call of a shared layer, and over all calls of a layer
            the maps are summed before what speaks against the target is cut off. None chooses as said above.
        relu: whether evidence against the target is cut off; the paper shows both signs.
        interpolation: "linear" or "nearest", how the map is spread over the input's size; None keeps the layer's size.
        data_format: "channels_last" or "channels_first", where the layer has its channels; None asks the layer, then
            `keras.config.image_data_format()`.
    Raises:
        ValueError: in `explain`, if the layer is unknown, does not lead to the target, or has no positions.
    Source: Draelos and Carin 2020, arXiv:2011.08891.

    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, name="features"),
    ...                           keras.layers.Flatten(), keras.layers.Dense(1)])
    >>> attribution = HiResCAM(relu=False, interpolation=None).explain(model, np.ones((1, 4, 4, 1)))
    >>> bool(np.isclose(attribution.values.sum(), attribution.scores[0], atol=1e-5))
    True
    """

    def combine(self, features: Any, gradient: Any) -> Any:
        """See `ClassActivationMap.combine`."""
        return ops.sum(features * gradient, axis=-1)
