"""Turning feature pairs by an angle that grows with the position."""

from typing import Any

from keras import ops

from keras_arch.ops.precision import at_least_float32


def rotate(x: Any, sine: Any, cosine: Any, interleaved: bool = False) -> Any:
    """Turn each feature pair of `x` by its angle.

    y[a] = x[a] cos(angle[i]) - x[b] sin(angle[i]),  y[b] = x[b] cos(angle[i]) + x[a] sin(angle[i]).
    The pair i is a, b = i, i + F; interleaved: a, b = 2 i, 2 i + 1. Features from 2 F on stay as they are.

    The products are taken in float32 or wider and cast last.

    Args:
        x: float tensor, shape (..., H) with H >= 2 F.   F: feature pairs, H: features.
        sine: float32 tensor that broadcasts to (..., F).
        cosine: likewise.
        interleaved: whether neighbours form a pair.
    Returns:
        Tensor of the shape and the dtype of `x`.
    Source: Su et al. 2021, arXiv:2104.09864, section 3.2 (interleaved); the half-split layout pairs other features,
        which a permutation of the weights before it undoes.

    >>> y = rotate(np.array([1.0, 2.0, 3.0]), np.array([1.0]), np.array([0.0]))
    >>> keras.ops.convert_to_numpy(y).tolist()
    [-2.0, 1.0, 3.0]
    """
    x = ops.convert_to_tensor(x)
    dtype, pairs = x.dtype, sine.shape[-1]
    wide = at_least_float32(dtype)
    sine, cosine = ops.cast(sine, wide), ops.cast(cosine, wide)
    if interleaved:
        first, second = x[..., 0 : 2 * pairs : 2], x[..., 1 : 2 * pairs : 2]
    else:
        first, second = x[..., :pairs], x[..., pairs : 2 * pairs]
    first, second = ops.cast(first, wide), ops.cast(second, wide)
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    if interleaved:
        joined = ops.stack(turned, axis=-1)  # (..., F, 2)
        joined = ops.reshape(joined, (*ops.shape(x)[:-1], 2 * pairs))  # (..., 2 F)
    else:
        joined = ops.concatenate(turned, axis=-1)  # (..., 2 F)
    joined = ops.cast(joined, dtype)
    return joined if x.shape[-1] == 2 * pairs else ops.concatenate([joined, x[..., 2 * pairs :]], axis=-1)


def rotate_heads(x: Any, sine: Any, cosine: Any, interleaved: bool = False) -> Any:
    """`rotate` by angles of each step, alike for all heads.

    Args:
        x: float tensor, shape (B, T, N, H), or (B, T, H) without heads.   B: batch, T: length, N: heads.
        sine: float32 tensor, shape (T, F) or (B, T, F).
        cosine: likewise.
        interleaved: whether neighbours form a pair.
    Returns:
        Tensor of the shape and the dtype of `x`.

    >>> x, ones = np.ones((1, 2, 3, 4)), np.ones((2, 2))
    >>> keras.ops.convert_to_numpy(rotate_heads(x, 0 * ones, ones)).tolist() == x.tolist()
    True
    """
    if len(x.shape) == 4:
        sine, cosine = ops.expand_dims(sine, -2), ops.expand_dims(cosine, -2)  # (T, 1, F) or (B, T, 1, F)
    return rotate(x, sine, cosine, interleaved)
