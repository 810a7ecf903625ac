"""A model that computes as another, with the same layers and weights of its own."""

from typing import Any

import keras
import numpy as np

from keras_arch.core.lending import call_with_values


class Twin(keras.Model):
    """Calls the layers of a model with copies of its weights, which may be changed: the model itself is not touched.

    Layers are those of the model, under the same paths, so that what a method knows of them holds here too. Other
    threads may use the model meanwhile.

    Args:
        model: a built model.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones", name="head")])
    >>> twin = Twin(model)
    >>> _ = twin.weight_of(model.layers[0].kernel).assign([[5.0], [5.0]])
    >>> float(twin(np.ones((1, 2)))[0, 0]), float(model(np.ones((1, 2)))[0, 0])
    (10.0, 2.0)
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__(name=model.name)
        # `core.walk` shows the layers of a model of this attribute as those of the model around it.
        self._functional = model
        # By way of NumPy: a variable that is made from TensorFlow's own shares it.
        self.own = [
            keras.Variable(
                np.array(keras.ops.convert_to_numpy(weight.value)),
                dtype=weight.dtype,
                trainable=False,
                name=weight.name,
            )
            for weight in model.weights
        ]

    def weight_of(self, weight: keras.Variable) -> keras.Variable:
        """What stands here for a weight of the model.

        Args:
            weight: one of `model.weights`.
        """
        return next(own for own, other in self._pairs() if other is weight)

    def _pairs(self) -> list[tuple[keras.Variable, keras.Variable]]:
        return list(zip(self.own, self._functional.weights, strict=True))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """What the model returns, with the weights of the twin."""
        lent = [(other, own.value) for own, other in self._pairs()]
        return call_with_values(self._functional, lent, inputs, training=training)[0]
