"""Proximal operators: the point near a weight that a penalty likes best, with zeros that are exact.

prox_t(x) = argmin_z ½ ‖z − x‖² + t · penalty(z).  Each computes in float32 at least and returns the weight's dtype.
"""

from typing import Any

from keras import ops

from keras_arch.ops.groups import group_norms, group_size, widened
from keras_arch.ops.kernel_matrix import kernel_matrix

Tensor = Any


def soft_threshold(x: Tensor, threshold: Tensor) -> Tensor:
    """Proximal operator of the sum of magnitudes: sign(x) · max(|x| − t, 0).

    Args:
        x: weight of any float dtype and rank.
        threshold: t >= 0, a number or a scalar tensor.
    Returns:
        Tensor like `x`.

    >>> soft_threshold(np.array([3.0, -0.5], "float32"), 1.0).numpy().tolist()
    [2.0, 0.0]
    """
    wide = widened(x)
    return ops.cast(_above(wide, threshold) - _above(-wide, threshold), x.dtype)


def shrink_groups(x: Tensor, axes: tuple[int, ...], threshold: Tensor) -> Tensor:
    """Proximal operator of the group lasso: each group's norm becomes max(norm − t · sqrt(p), 0).

    p: entries in each group.

    Args:
        x: weight of any float dtype and rank.
        axes: axes that enumerate the groups, as `group_axes` returns them.
        threshold: t >= 0, a number or a scalar tensor.
    Returns:
        Tensor like `x`; a group of norm at most t · sqrt(p) is zero.

    >>> shrink_groups(np.array([[3.0, 0.3], [4.0, 0.4]], "float32"), (1,), 2.5 / 2**0.5).numpy().tolist()
    [[1.5, 0.0], [2.0, 0.0]]
    """
    wide = widened(x)
    norms = group_norms(wide, axes)
    left = _above(norms, threshold * group_size(x.shape, axes) ** 0.5)
    factors = left / ops.where(norms > 0, norms, ops.ones_like(norms))
    sizes = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    return ops.cast(wide * ops.reshape(factors, sizes), x.dtype)


def shrink_singular_values(x: Tensor, threshold: Tensor) -> Tensor:
    """Proximal operator of the nuclear norm: each singular value s of `kernel_matrix` becomes max(s − t, 0).

    Args:
        x: weight of rank >= 2 and any float dtype.
        threshold: t >= 0, a number or a scalar tensor.
    Returns:
        Tensor like `x`, of lower rank where singular values were at most t (to rounding).

    >>> shrink_singular_values(np.diag([3.0, 0.5]), 1.0).numpy().round(4).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    u, s, v = ops.svd(kernel_matrix(x), full_matrices=False)  # (R, K), (K,), (K, F)
    return ops.cast(ops.reshape(ops.matmul(u * _above(s, threshold), v), x.shape), x.dtype)


def _above(x: Tensor, threshold: Tensor) -> Tensor:
    return ops.relu(x - ops.cast(threshold, x.dtype))
