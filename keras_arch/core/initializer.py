"""What initializers share: copies for several weights, and values that are drawn exactly and rounded once."""

from collections.abc import Callable, Sequence
from typing import Any

import keras


def cloned(initializer: Any) -> Any:
    """A copy of an initializer; anything else is returned as it is.

    One unseeded initializer object gives all kernels of one shape the same values; a copy draws a seed of its own.

    >>> first = keras.initializers.GlorotUniform()
    >>> cloned(first) is first, cloned(None) is None
    (False, True)
    """
    return initializer.clone() if isinstance(initializer, keras.initializers.Initializer) else initializer


def rounded(draw: Callable[..., Any], shape: Sequence[int], dtype: Any) -> Any:
    """Values drawn in float32 (float64 for a float64 weight), cast to the dtype of the weight.

    So half precision weights are the rounded float32 ones of the same seed. Drawn in half precision they would be
    other numbers, and a matrix decomposition would lose what it is made for.

    Args:
        draw: an initializer, or any function `(shape, dtype=...)`.
        shape: of the weight.
        dtype: of the weight; None is Keras's floatx.

    >>> half, single = (rounded(keras.initializers.HeNormal(seed=1), (2, 3), kind) for kind in ("float16", "float32"))
    >>> bool(keras.ops.all(half == keras.ops.cast(single, "float16")))
    True
    """
    dtype = keras.backend.standardize_dtype(dtype)
    return keras.ops.cast(draw(tuple(shape), dtype="float64" if dtype == "float64" else "float32"), dtype)
