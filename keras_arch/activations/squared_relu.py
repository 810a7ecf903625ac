"""The square of the rectified input."""

from typing import Any

from keras import ops

from keras_arch.core.registration import register


@register
def squared_relu(x: Any) -> Any:
    """Square what is positive, drop the rest.

    y = max(x, 0)²

    Args:
        x: float tensor of any shape. In float16 the square passes the largest number, 65504, from x = 256 on.
    Returns:
        Tensor of the shape and dtype of `x`, >= 0.
    Source: So et al. 2021, arXiv:2109.08668, section 3.

    >>> keras.ops.convert_to_numpy(ka.activations.squared_relu(np.array([-2.0, 0.5, 3.0]))).tolist()
    [0.0, 0.25, 9.0]
    """
    return ops.square(ops.relu(x))
