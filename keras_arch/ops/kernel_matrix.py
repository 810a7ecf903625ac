"""Kernels as matrices: their Gram matrices, largest singular values and nuclear norms, with gradients."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.ops.groups import group_norms, widened

Tensor = Any


def kernel_matrix(kernel: Tensor) -> Tensor:
    """A kernel as a matrix with a column for each index of its last axis, in float32 at least.

    Dense (C, F) stays; Conv2D (k, k, C, F) becomes (k · k · C, F); query, key and value kernels (D, N, H) become
    (D · N, H).   F: filters or units.

    Args:
        kernel: weight of rank >= 2.
    Returns:
        Tensor (float64 for float64, else float32), shape (R, F).
    Raises:
        ValueError: for a weight of rank 0 or 1, such as a bias.

    >>> tuple(kernel_matrix(np.ones((3, 3, 2, 4))).shape)
    (18, 4)
    """
    if len(kernel.shape) < 2:
        raise ValueError(
            "A penalty on singular values needs a kernel of rank 2 or more; received a weight of the shape "
            f"{tuple(kernel.shape)}. Give it to kernels, not to biases."
        )
    return ops.reshape(widened(kernel), (-1, kernel.shape[-1]))  # (R, F)


def tall_matrix(kernel: Tensor) -> Tensor:
    """`kernel_matrix`, turned so that it has no more columns than rows: the singular values are the same.

    >>> tuple(tall_matrix(np.ones((2, 5))).shape)
    (5, 2)
    """
    matrix = kernel_matrix(kernel)
    return matrix if matrix.shape[0] >= matrix.shape[1] else ops.transpose(matrix)


def gram_error(matrix: Tensor) -> Tensor:
    """Squared Frobenius distance of a matrix's columns from orthonormal ones: ‖WᵀW − I‖².

    Args:
        matrix: W, shape (R, F).
    Returns:
        Scalar.

    >>> float(gram_error(np.eye(3, 2) * 2))
    18.0
    """
    gram = ops.matmul(ops.transpose(matrix), matrix)  # (F, F)
    return ops.sum(ops.square(gram - ops.eye(matrix.shape[1], dtype=gram.dtype)))


def unit(x: Tensor) -> Tensor:
    """A tensor divided by its Euclidean norm; all zeros, with gradient zero, where it is all zero."""
    norm = group_norms(x, ())
    return x / ops.where(norm > 0, norm, ops.ones_like(norm))


def dominant_vector(product: Callable[[Tensor], Tensor], size: int, iterations: int, dtype: str = "float32") -> Tensor:
    """Unit vector near the eigenvector of largest magnitude of a symmetric matrix, by power iteration.

    v ← A v / ‖A v‖, from the same pseudo-random vector each time: a start such as (1, …, 1) is orthogonal to what
    centred weights have. Gradients flow through the iterations, so those of what is computed from v are exact however
    far v still is from the eigenvector.

    Args:
        product: v -> A v.
        size: of v.
        iterations: >= 0.
        dtype: of v.
    Returns:
        Tensor, shape (size,).

    >>> dominant_vector(lambda v: np.array([9.0, 1.0], "float32") * v, 2, 20).numpy().round(4).tolist()
    [1.0, -0.0]
    """
    start = np.random.default_rng(0).standard_normal(size)
    v = ops.convert_to_tensor(start / np.linalg.norm(start), dtype=dtype)
    for _ in range(iterations):
        v = unit(product(v))
    return v


def largest_singular_value_squared(kernel: Tensor, iterations: int) -> Tensor:
    """σ², the square of the largest singular value of `kernel_matrix`, from below.

    σ² ≈ ‖W v‖² with v by power iteration on WᵀW; its error falls with (σ₂ / σ)^(4 · iterations).

    Args:
        kernel: weight of rank >= 2.
        iterations: >= 0.
    Returns:
        Scalar.

    >>> round(float(largest_singular_value_squared(np.diag([3.0, 1.0]), 5)), 4)
    9.0
    """
    w = tall_matrix(kernel)
    transposed = ops.transpose(w)
    v = dominant_vector(lambda v: ops.matmul(transposed, ops.matmul(w, v)), w.shape[1], iterations, w.dtype)
    return ops.sum(ops.square(ops.matmul(w, v)))


def restricted_isometry_error(kernel: Tensor, iterations: int) -> Tensor:
    """σ(WᵀW − I): how far any unit vector's squared length is changed by a tall matrix, at most.

    Args:
        kernel: weight of rank >= 2, taken as `tall_matrix`.
        iterations: of the power method, >= 0.
    Returns:
        Scalar, from below: max |σᵢ² − 1| in the limit.

    >>> round(float(restricted_isometry_error(np.diag([2.0, 1.0]), 5)), 4)
    3.0
    """
    w = tall_matrix(kernel)
    transposed = ops.transpose(w)

    def product(v: Tensor) -> Tensor:
        return ops.matmul(transposed, ops.matmul(w, v)) - v

    return group_norms(product(dominant_vector(product, w.shape[1], iterations, w.dtype)), ())


def polar_factor(matrix: Tensor) -> Tensor:
    """U Vᵀ of a matrix's singular value decomposition, over the singular values that are not zero.

    Singular values below (largest · larger side · resolution of the dtype) count as zero. No gradient flows through.

    Args:
        matrix: shape (R, F).
    Returns:
        Tensor of the same shape, whose own singular values are 1 or 0.
    """
    matrix = ops.stop_gradient(matrix)
    u, s, v = ops.svd(matrix, full_matrices=False)  # (R, K), (K,), (K, F)
    resolution = np.finfo(keras.backend.standardize_dtype(matrix.dtype)).eps
    kept = s > ops.max(s) * float(max(matrix.shape) * resolution)
    return ops.matmul(u * ops.cast(kept, u.dtype), v)


def nuclear_norm(kernel: Tensor) -> Tensor:
    """Sum of the singular values of `kernel_matrix`, with the gradient U Vᵀ.

    ‖W‖ = ⟨U Vᵀ, W⟩, and U Vᵀ is also its gradient; where W lacks rank, it is the subgradient of least norm. So the
    polar factor enters as a constant, and the decomposition is never differentiated: its own derivative divides by the
    differences of squared singular values, which is infinite where two are equal.

    Args:
        kernel: weight of rank >= 2.
    Returns:
        Scalar.

    >>> round(float(nuclear_norm(np.diag([3.0, -1.0]))), 4)
    4.0
    """
    matrix = kernel_matrix(kernel)
    return ops.sum(polar_factor(matrix) * matrix)
