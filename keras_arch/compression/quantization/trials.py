"""What layers and operations do, judged by the values they give: no list of their classes."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.compression.clone import copy_of

PROBE_SIZE = 3
PROBE_VALUES = 512


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


KNOWN_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "softmax": _softmax,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def recognise(function: Callable, shape: tuple[int | None, ...] = (None, 9)) -> str | None:
    """Name of the known activation that a function computes, judged by its values.

    Args:
        function: maps a tensor to a tensor.
        shape: shape of its input; unknown sizes are tried small.
    Returns:
        "linear", "relu", "relu6", "softmax", "sigmoid", "tanh" or None.

    >>> recognise(keras.layers.ReLU(max_value=6.0))
    'relu6'
    """
    x = np.random.default_rng(0).uniform(-9, 9, _small(shape)).astype("float32")
    y = _values(function, x)
    if y is None or y.shape != x.shape:
        return None
    for name, known in KNOWN_ACTIVATIONS.items():
        if np.allclose(y, known(x), rtol=1e-4, atol=1e-4):
            return name
    return None


def moves_values(layer: Any, shape: tuple[int | None, ...]) -> bool:
    """Whether a layer only picks, moves or repeats the values of its one input, or adds zeros.

    Such a layer (pooling by maximum, flatten, reshape, crop, pad, dropout at inference) leaves a rounded tensor on its
    grid. It is tried on distinct negative values, so ReLU, which zeroes them all, is none.

    >>> moves_values(keras.layers.MaxPooling2D(), (None, 4, 4, 2)), moves_values(keras.layers.ReLU(), (None, 4))
    (True, False)
    """
    if getattr(layer, "weights", ()):
        return False
    shape = _small(shape)
    x = -np.random.default_rng(0).permutation(int(np.prod(shape))).astype("float32").reshape(shape) - 1.0
    y = _values(fresh(layer), x)
    return y is not None and bool(np.isin(y, np.append(x, 0.0)).all()) and bool((y != 0).any())


def separates_activation(layer: keras.Layer, shape: tuple[int | None, ...]) -> bool:
    """Whether a layer is its `activation` applied to the same layer without one, judged by its values.

    True for Dense(activation="gelu"), False for LSTM, whose `activation` works inside.

    >>> separates_activation(keras.layers.Dense(2, activation="gelu"), (None, 3))
    True
    """
    x = np.random.default_rng(0).uniform(-1, 1, _small(shape)).astype("float32")
    whole, bare = copy_of(layer), copy_of(layer, activation="linear")
    y = _values(whole, x)
    if y is None or _values(bare, x) is None:
        return False
    bare.set_weights(whole.get_weights())
    return np.allclose(y, _values(lambda x: layer.activation(bare(x)), x), rtol=1e-4, atol=1e-4)


def is_one_product(layer: keras.Layer, shape: tuple[int | None, ...]) -> bool:
    """Whether a layer, but for its activation, is an affine function of its one input, judged by values.

    f(x + y) = f(x) + f(y) - f(0)

    True for dense and convolutional layers, which run as one product of integers; False for a normalization or an LSTM.

    >>> is_one_product(keras.layers.Dense(2), (None, 3)), is_one_product(keras.layers.LSTM(2), (None, 4, 3))
    (True, False)
    """
    activated = getattr(layer, "activation", None) is not None
    bare = copy_of(layer, activation="linear") if activated and "activation" in layer.get_config() else copy_of(layer)
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, *_small(shape))).astype("float32")
    terms = [_values(bare, value) for value in (x + y, x, y, np.zeros_like(x))]
    if any(term is None for term in terms):
        return False
    both, first, second, nothing = terms
    return np.allclose(both, first + second - nothing, rtol=1e-3, atol=1e-4)


def has_offset(layer: keras.Layer, shape: tuple[int | None, ...]) -> bool:
    """Whether a built layer makes anything of zeros, so that it is more than a scale.

    >>> layer = keras.layers.Normalization(mean=2.0, variance=1.0)
    >>> layer.build((None, 3))
    >>> has_offset(layer, (None, 3)), has_offset(keras.layers.Rescaling(2.0), (None, 3))
    (True, False)
    """
    y = _values(layer, np.zeros(_small(shape), "float32"))
    return y is None or bool(np.any(y))


def is_elementwise(operation: Any) -> bool:
    """Whether an operation on two tensors is their sum, difference or product, judged by values.

    >>> is_elementwise(keras.layers.Add()), is_elementwise(keras.layers.Concatenate())
    (True, False)
    """
    x, y = np.random.default_rng(0).uniform(1, 2, (2, PROBE_SIZE, PROBE_SIZE)).astype("float32")
    trial = fresh(operation)
    listed = isinstance(operation, keras.Layer)
    z = _values(lambda both: trial(list(both)) if listed else trial(*both), (x, y))
    return z is not None and z.shape == x.shape and any(np.allclose(z, known) for known in (x + y, x - y, x * y))


def is_joining(operation: Any) -> bool:
    """Whether an operation on two tensors only puts their values together, judged by values.

    >>> is_joining(keras.layers.Concatenate()), is_joining(keras.layers.Maximum())
    (True, False)
    """
    x, y = np.arange(1, 2 * PROBE_SIZE**2 + 1, dtype="float32").reshape(2, PROBE_SIZE, PROBE_SIZE)
    trial = fresh(operation)
    z = _values(lambda both: trial(list(both)), (x, y))
    return z is not None and z.size == x.size + y.size and bool(np.isin(z, (x, y)).all())


def fresh(operation: Any) -> Any:
    """A copy of a layer, without weights; a bare operation, which has no state, as it is."""
    return copy_of(operation) if isinstance(operation, keras.Layer) else operation


def _small(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """A shape to try: unknown sizes are small, and the batch is large enough for some hundred values."""
    sizes = [PROBE_SIZE if size is None else size for size in shape[1:]]
    return (max(1, PROBE_VALUES // max(1, math.prod(sizes))), *sizes)


def _values(function: Callable, x: Any) -> np.ndarray | None:
    """What a function makes of an array, or of a tuple of arrays; None if it refuses it."""
    try:
        y = function(keras.tree.map_structure(ops.convert_to_tensor, x))
    except Exception:  # any refusal of the trial value means "not recognised", which is the safe side
        return None
    return ops.convert_to_numpy(y) if ops.is_tensor(y) else None
