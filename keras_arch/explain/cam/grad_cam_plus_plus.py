"""Grad-CAM++: Grad-CAM whose weights count each position where the target rises once."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_arch.core.registration import register
from keras_arch.explain.cam.class_activation import ClassActivationMap


@register
@dataclass(frozen=True, eq=False, repr=False)
class GradCAMPlusPlus(ClassActivationMap):
    """One map per sample that also finds the second and third object of a class.

    map = ReLU(Σ_c w_c A_c),   w_c = Σ_p α_cp ReLU(g_cp),   α_cp = 1 / (2 + g_cp Σ_q A_cq) where g_cp ≠ 0, else 0
    A: the layer's output, c: its channel, p, q: positions.   g = ∂F/∂A.   F: the score that the target selects.

    These are the paper's closed forms for Y = exp(F), ∂Y = Y g, ∂²Y = Y g², ∂³Y = Y g³, exact where F is piecewise
    linear in A: pass output="logits" where the model ends in softmax. α = g² / (2 g² + g³ Σ A) is reduced by g². The
    factor Y = exp(F) of ∂Y, one per sample, is left out: it scales a map as a whole and overflows. A position where the
    denominator is zero counts nothing.

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
    Source: Chattopadhay et al. 2018, arXiv:1710.11063, equations 10 to 19; the same form as jacobgil's
    pytorch-grad-cam, which adds 1e-6 to the denominator.

    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, name="features"),
    ...                           keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    >>> GradCAMPlusPlus().explain(model, np.ones((1, 8, 8, 1))).values.shape
    (1, 8, 8, 1)
    """

    def combine(self, features: Any, gradient: Any) -> Any:
        """See `ClassActivationMap.combine`."""
        axes = tuple(range(1, len(features.shape) - 1))
        below = 2 + gradient * ops.sum(features, axis=axes, keepdims=True)
        counts = ops.logical_and(gradient != 0, below != 0)
        alpha = ops.where(counts, 1 / ops.where(counts, below, 1.0), 0.0)
        weights = ops.sum(alpha * ops.maximum(gradient, 0), axis=axes, keepdims=True)
        return ops.sum(features * weights, axis=-1)
