"""Whether training moves a weight away from zero, or towards it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core.registration import register
from keras_arch.core.value import Value


class Travelled:
    """What the weights of one training have moved so far.

    Args:
        variables: the weights that are watched; each takes as many float32 numbers more.

    >>> from keras_arch.compression.pruning.criteria.movement import Travelled
    >>> weight = keras.Variable([1.0, -1.0])
    >>> watched = Travelled([weight])
    >>> watched.step({id(weight): keras.ops.array([0.5, 0.5])})
    >>> watched(weight).tolist()
    [-0.5, 0.5]
    """

    def __init__(self, variables: list[keras.Variable]) -> None:
        self._variables = list(variables)
        self._totals = {
            id(variable): keras.Variable(ops.zeros(variable.shape), dtype="float32", trainable=False, name="movement")
            for variable in self._variables
        }

    def step(self, gradients: Mapping[int, Any]) -> None:
        """Add the movement of one training step, before the weights change; runs in compiled steps.

        Args:
            gradients: id of a weight to the gradient of the loss; a weight without one stays where it is.
        """
        for variable in self._variables:
            gradient = gradients.get(id(variable))
            if gradient is not None:
                total = self._totals[id(variable)]
                product = ops.cast(variable, "float32") * ops.cast(ops.convert_to_tensor(gradient), "float32")
                total.assign(total - product)

    def __call__(self, variable: keras.Variable) -> np.ndarray:
        """Scores of a weight: how far it moved, or how large it is while none has moved yet."""
        if any(total.numpy().any() for total in self._totals.values()):
            return np.array(self._totals[id(variable)].numpy())
        return np.abs(ops.convert_to_numpy(ops.cast(variable, "float32")))


@register
@dataclasses.dataclass(frozen=True)
class Movement(Value):
    """A weight matters as much as training moves it away from zero: made for fine-tuning, where sizes are inherited.

    score = −Σ over the training steps so far of w dL/dw

    Gradients are those that the optimizer gets, batch by batch; before the first step the score is |w|, so let the
    schedule begin after some steps. In the paper pruned weights get gradients as if they were not; here a pruned weight
    is zero and keeps the score it had, and comes back only if others fall below it.

    Needs training steps: `compression.prune` refuses it, and on JAX, whose compiled steps write no variables that are
    not their own, so does `Pruner`; likewise on several replicas.

    Source: Sanh et al. 2020, arXiv:2005.07683, section 3.

    >>> ka.compression.pruning.criteria.Movement()
    Movement()
    """

    def watch(self, model: keras.Model, variables: list[keras.Variable]) -> Travelled:
        """Begin to follow some weights.

        Args:
            model: that is trained.
            variables: weights of it.
        Raises:
            ValueError: on JAX, and on several replicas.
        """
        strategy = getattr(model, "distribute_strategy", None)
        several = strategy is not None and strategy.num_replicas_in_sync > 1
        if keras.backend.backend() == "jax" or several:
            where = "several replicas" if several else "JAX"
            raise ValueError(
                "criterion 'movement' adds up gradients inside training steps, which can't be done on "
                f"{where}. Choose for example Taylor(x, y), which computes them from samples."
            )
        return Travelled(variables)
