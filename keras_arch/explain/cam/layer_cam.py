"""LayerCAM: feature maps of any layer, weighted position by position by what speaks for the target."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_arch.core.registration import register
from keras_arch.explain.cam.class_activation import ClassActivationMap


@register
@dataclass(frozen=True, eq=False, repr=False)
class LayerCAM(ClassActivationMap):
    """One map per sample, fine also at early layers: each position of each channel has its own weight.

    map = ReLU(Σ_c ReLU(∂F/∂A_c) ⊙ A_c)
    A: the layer's output, c: its channel.   F: the score, the scalar that the target selects.

    Without a layer it takes the last one, in the order in which the model runs, whose output has as many axes as the
    input, more than one position, and is not the model's own output; layers inside nested models count.

    Args:
        layer: name, path ("backbone/out_relu") or object of a layer whose output is (N, positions…, C) with one, two
            or three axes of positions; "encoder:1" is the second call of a shared layer, and over all calls of a layer
            the maps are summed before what speaks against the target is cut off. None chooses as said above.
        relu: whether evidence against the target is cut off; where A is the output of a ReLU there is none.
        interpolation: "linear" or "nearest", how the map is spread over the input's size; None keeps the layer's size.
        data_format: "channels_last" or "channels_first", where the layer has its channels; None asks the layer, then
            `keras.config.image_data_format()`.
    Raises:
        ValueError: in `explain`, if the layer is unknown, does not lead to the target, or has no positions.
    Source: Jiang et al. 2021, doi:10.1109/TIP.2021.3089943, who also scale maps of early layers by tanh and join
    several; here a map is one layer's, as it is.

    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, name="features"),
    ...                           keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    >>> LayerCAM(layer="features").explain(model, np.ones((1, 8, 8, 1))).values.shape
    (1, 8, 8, 1)
    """

    def combine(self, features: Any, gradient: Any) -> Any:
        """See `ClassActivationMap.combine`."""
        return ops.sum(features * ops.maximum(gradient, 0), axis=-1)
