"""Which activations act on each number alone, so that channels pass through them unmixed."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch import activations
from keras_arch.compression.pruning.shrinking.channels import UntraceableError
from keras_arch.core.identifiers import identifiers

# Named one by one: an activation that a later Keras adds may mix channels, as softmax and glu do.
_NAMES = (
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "tanh",
    "tanh_shrink",
)
_LAYERS = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU)


def elementwise(activation: Any) -> Callable[[np.ndarray], np.ndarray]:
    """What an activation makes of known values.

    Args:
        activation: a function, or a layer that serves as one.
    Returns:
        Function of a float64 array that keeps NaN, the sign of an unknown value, where it is.
    Raises:
        UntraceableError: if the activation may mix channels.

    >>> from keras_arch.compression.pruning.shrinking.activation import elementwise
    >>> elementwise(keras.activations.relu)(np.array([-1.0, 2.0, np.nan])).tolist()
    [0.0, 2.0, nan]
    """
    if type(activation) is keras.layers.Activation:
        activation = activation.activation
    known = [getattr(keras.activations, name) for name in _NAMES] + list(identifiers(activations).values())
    if activation not in known and type(activation) not in _LAYERS:
        name = getattr(activation, "__name__", type(activation).__name__)
        raise UntraceableError(f"its activation {name} may mix channels")

    def apply(values: np.ndarray) -> np.ndarray:
        results = activation(ops.convert_to_tensor(np.nan_to_num(values), dtype="float32"))
        return np.where(np.isnan(values), np.nan, ops.convert_to_numpy(results).astype("float64"))

    return apply
