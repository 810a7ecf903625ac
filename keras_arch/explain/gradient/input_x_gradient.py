"""Input times gradient: what each part of the input adds to the score where the model is linear."""

from dataclasses import dataclass
from typing import Any

from keras_arch.core.registration import register
from keras_arch.explain.gradient.point import PointMethod, Reading


@register
@dataclass(frozen=True, eq=False, repr=False)
class InputXGradient(PointMethod):
    """The gradient of the score at the input, times the input.

    values_i = x_i · ∂F/∂x_i
    x: the input.   F: the score, the scalar that the target selects.

    Where the model is linear up to its biases, these are the exact shares of x_i in F(x) - F(0).

    Args:
        layer: name, path or object of a layer whose output is explained in the input's place; "encoder:1" is the
            second call of a shared layer, and over all calls of a layer the values are summed. None: the input itself,
            or for token ids the model's embedding layer.
    Raises:
        ValueError: in `explain`, if the inputs are integers, `layer` is None, and the model has not one embedding
            layer; or if nothing flows back to the layer.
    Source: Shrikumar et al. 2016, arXiv:1605.01713. Equal to Captum's InputXGradient, and with `layer` to its
    LayerGradientXActivation.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.set_weights([np.array([[3.0], [-2.0]]), np.ones(1)])
    >>> InputXGradient().explain(model, [[1.0, 4.0]]).values.tolist()
    [[3.0, -8.0]]
    """

    layer: Any = None

    def reading(self, merges: bool) -> Reading:
        """See `PointMethod.reading`."""
        return Reading(times_point=True, merges=merges)
