"""Gains and shifts of the layer normalizations inside a cell, with the arguments that set them up."""

from typing import Any

import keras
from keras import initializers

from keras_arch.core import check
from keras_arch.core.initializer import cloned
from keras_arch.ops.layer_norm import Norm


class NormWeights(keras.Layer):
    """What a cell with layer normalization adds to Keras's cell: three arguments and a way to make norms of them."""

    def _take_norm_arguments(self, gamma_initializer: Any, beta_initializer: Any, epsilon: float) -> None:
        self.norm_gamma_initializer = initializers.get(gamma_initializer)
        self.norm_beta_initializer = initializers.get(beta_initializer)
        self.norm_epsilon = positive_epsilon(epsilon)

    def _add_norm(self, name: str, size: int) -> Norm:
        # No autocast: a gain near 1 has only 8 bits in bfloat16.
        gamma = self.add_weight((size,), cloned(self.norm_gamma_initializer), name=f"{name}_gamma", autocast=False)
        beta = self.add_weight((size,), cloned(self.norm_beta_initializer), name=f"{name}_beta", autocast=False)
        return Norm(gamma, beta)

    def get_config(self) -> dict[str, Any]:
        """All arguments, as the constructor takes them."""
        return {
            **super().get_config(),
            "norm_gamma_initializer": initializers.serialize(self.norm_gamma_initializer),
            "norm_beta_initializer": initializers.serialize(self.norm_beta_initializer),
            "norm_epsilon": self.norm_epsilon,
        }


def positive_epsilon(value: Any) -> float:
    """What is added to each variance, or a ValueError."""
    return check.real("norm_epsilon", value, minimum=0, maximum=float("inf"), open_minimum=True, open_maximum=True)
