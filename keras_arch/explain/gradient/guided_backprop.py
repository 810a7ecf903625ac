"""Guided backpropagation: the gradient, with what speaks against the target stopped at every ReLU."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_arch.core.registration import register
from keras_arch.explain.gradient.point import PointMethod, Reading
from keras_arch.explain.gradient.rectifiers import Rectifiers

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class GuidedBackprop(PointMethod):
    """The gradient at the input when each ReLU passes back positive gradients only, and only where it is open.

    values_i = ∂F/∂x_i,   with at every y = ReLU(z):   ∂z = ∂y where ∂y > 0 and z > 0, else 0
    x: the input.   F: the score, the scalar that the target selects.

    It draws sharp edges, but depends little on the class and on the upper layers (Adebayo et al. 2018,
    arXiv:1810.03292): read it as a picture of what was seen, not as evidence. Without a ReLU it is the gradient.

    Which units count, and which are replaced, says `Rectifiers`: `keras.layers.ReLU`, also with an upper end, and
    `relu` or `relu6` as an activation of any layer, as an attribute, or as a node of a functional model. The model is
    as before after each call.

    Args:
        layer: name, path or object of a layer whose output is explained in the input's place; "encoder:1" is the
            second call of a shared layer, and over all calls of a layer the gradients are summed. None: the input
            itself, or for token ids the model's embedding layer.
    Raises:
        ValueError: in `explain`, if the model runs a ReLU that cannot be replaced, such as `keras.ops.relu` called by
            hand in a `call` of your own; if the inputs are integers, `layer` is None, and the model has not one
            embedding layer; or if nothing flows back to the layer.
    Source: Springenberg et al. 2015, arXiv:1412.6806. Equal to Captum's GuidedBackprop, which replaces modules of the
    class ReLU only and leaves others out in silence.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, activation="relu"), keras.layers.Dense(1)])
    >>> model.set_weights([np.array([[1.0, 1.0]]), np.ones(2), np.array([[3.0], [-2.0]]), np.ones(1)])
    >>> GuidedBackprop().explain(model, [[1.0]]).values.tolist()      # the gradient itself is 3 - 2
    [[3.0]]
    """

    layer: Any = None

    def reading(self, merges: bool) -> Reading:
        """See `PointMethod.reading`."""
        return Reading(merges=merges)

    def seen(self, probe: "Probe") -> "Probe":
        """See `PointMethod.seen`."""
        return probe.amended(Rectifiers("guided"))
