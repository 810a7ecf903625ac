"""The precision to compute in."""

from typing import Any

import keras


def at_least_float32(*dtypes: Any) -> str:
    """The dtype to compute in where half precision overflows or rounds too much.

    `keras.backend.result_type` does not say it: it knows no float64 on PyTorch (Keras 3.15).

    Args:
        *dtypes: of what goes in, as any backend spells them.
    Returns:
        "float64" if one of them is float64, else "float32".

    >>> at_least_float32("float16"), at_least_float32("bfloat16", np.zeros(1).dtype)
    ('float32', 'float64')
    """
    return "float64" if any(keras.backend.standardize_dtype(dtype) == "float64" for dtype in dtypes) else "float32"
