"""The deconvolutional network: a backward pass that rectifies what it carries, not what the forward pass saw."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_arch.core.registration import register
from keras_arch.explain.gradient.point import PointMethod, Reading
from keras_arch.explain.gradient.rectifiers import Rectifiers

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class Deconvnet(PointMethod):
    """The gradient at the input when each ReLU passes back positive gradients, whether it is open or not.

    values_i = ∂F/∂x_i,   with at every y = ReLU(z):   ∂z = ∂y where ∂y > 0, else 0
    x: the input.   F: the score, the scalar that the target selects.

    Pooling passes back to the positions of the maxima, as in the paper. Its ReLU and the limits of reading its
    pictures as evidence are those of `GuidedBackprop`.

    Args:
        layer: name, path or object of a layer whose output is explained in the input's place; "encoder:1" is the
            second call of a shared layer, and over all calls of a layer the gradients are summed. None: the input
            itself, or for token ids the model's embedding layer.
    Raises:
        ValueError: in `explain`, as `GuidedBackprop` does.
    Source: Zeiler and Fergus 2014, arXiv:1311.2901, who start from one unit of a layer; here a target does. Equal to
    Captum's Deconvolution.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, activation="relu"), keras.layers.Dense(1)])
    >>> model.set_weights([np.array([[1.0, 1.0]]), np.array([1.0, -9.0]), np.array([[3.0], [5.0]]), np.ones(1)])
    >>> Deconvnet().explain(model, [[1.0]]).values.tolist()      # the second unit is closed
    [[8.0]]
    """

    layer: Any = None

    def reading(self, merges: bool) -> Reading:
        """See `PointMethod.reading`."""
        return Reading(merges=merges)

    def seen(self, probe: "Probe") -> "Probe":
        """See `PointMethod.seen`."""
        return probe.amended(Rectifiers("deconvnet"))
