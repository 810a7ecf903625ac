"""Saliency: how steeply the score changes with each part of the input."""

from dataclasses import dataclass
from typing import Any

from keras_arch.core.registration import register
from keras_arch.explain.gradient.point import PointMethod, Reading


@register
@dataclass(frozen=True, eq=False, repr=False)
class Saliency(PointMethod):
    """The gradient of the score at the input, or its size.

    values_i = |∂F/∂x_i|, or ∂F/∂x_i
    x: the input.   F: the score, the scalar that the target selects.

    Args:
        absolute: whether signs are dropped.
        layer: name, path or object of a layer whose output is explained in the input's place; "encoder:1" is the
            second call of a shared layer, and over all calls of a layer the gradients are summed before their signs
            are dropped. None: the input itself, or for token ids the model's embedding layer.
    Raises:
        ValueError: in `explain`, if the inputs are integers, `layer` is None, and the model has not one embedding
            layer; or if nothing flows back to the layer.
    Source: Simonyan, Vedaldi and Zisserman 2014, arXiv:1312.6034, who keep the largest size over the color channels:
    `values.max(-1)`. Captum's Saliency drops signs by default as well; tf-explain's VanillaGradients also takes the
    largest channel and rescales it.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.set_weights([np.array([[3.0], [-2.0]]), np.ones(1)])
    >>> Saliency().explain(model, [[1.0, 1.0]]).values.tolist()
    [[3.0, 2.0]]
    >>> Saliency(absolute=False).explain(model, [[1.0, 1.0]]).values.tolist()
    [[3.0, -2.0]]
    """

    absolute: bool = True
    layer: Any = None

    def reading(self, merges: bool) -> Reading:
        """See `PointMethod.reading`."""
        return Reading(absolute=self.absolute, merges=merges)
