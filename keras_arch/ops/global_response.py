"""Global response normalization: channels compete by their energy over the whole image."""

from typing import Any

from keras import ops

from keras_arch.ops.l2_norm import l2_norm


def global_response(x: Any, epsilon: float = 1e-6) -> Any:
    """Multiply every channel by its norm over space, relative to the mean norm of the channels.

    output[b, s, c] = x[b, s, c] norm[b, c] / (mean_c norm[b, c] + epsilon), norm[b, c] = sqrt(sum_s x[b, s, c]^2).
    b: sample, s: place, c: channel.

    Args:
        x: float tensor, (B, ..., C), of rank 3 or more.
        epsilon: added to the mean.
    Returns:
        float32 tensor (float64 for float64) of the shape of `x`.
    Source: Woo et al. 2023, arXiv:2301.00808, section 3.

    >>> x = np.array([[[3.0, 0.0], [4.0, 5.0]]], "float32")
    >>> keras.ops.convert_to_numpy(global_response(x)).round(4).tolist()
    [[[3.0, 0.0], [4.0, 5.0]]]
    """
    norms = l2_norm(x, range(1, len(x.shape) - 1))
    return ops.cast(x, norms.dtype) * (norms / (ops.mean(norms, axis=-1, keepdims=True) + epsilon))
