"""How attention adds up over layers: one row of a product of matrices, without the product."""

from typing import Any

from keras import ops

HEADS = ("mean", "min", "max")


def fused(weights: Any, heads: str = "mean") -> Any:
    """Bring the heads of attention weights to one matrix.

    Args:
        weights: float32 tensor (B, N, T, S).   B: batch, N: heads, T: queries, S: keys.
        heads: "mean", "min" or "max".
    Returns:
        (B, T, S).

    >>> keras.ops.convert_to_numpy(fused(np.array([[[[1.0, 0.0]], [[0.5, 0.5]]]]), "max")).tolist()
    [[[1.0, 0.5]]]
    """
    return {"mean": ops.mean, "min": ops.min, "max": ops.max}[heads](weights, axis=1)


def without_smallest(matrix: Any, ratio: float) -> Any:
    """Set the share `ratio` of each sample's numbers to 0, the smallest first; what equals the smallest kept one stays.

    Args:
        matrix: float32 tensor (B, T, S), T and S known.
        ratio: in [0, 1).

    >>> keras.ops.convert_to_numpy(without_smallest(np.array([[[0.1, 0.9], [0.6, 0.4]]]), 0.5)).round(1).tolist()
    [[[0.0, 0.9], [0.6, 0.0]]]
    """
    matrix = ops.convert_to_tensor(matrix)
    count = int(ratio * matrix.shape[1] * matrix.shape[2])
    if not count:
        return matrix
    ordered = ops.sort(ops.reshape(matrix, (matrix.shape[0], -1)), axis=-1)  # (B, T S)
    least = ops.reshape(ordered[:, count], (-1, 1, 1))
    return ops.where(matrix < least, ops.zeros((), matrix.dtype), matrix)


def normalized(matrix: Any) -> Any:
    """Divide each row by its sum; a row of zeros stays.

    Args:
        matrix: float32 tensor (B, T, S) of numbers >= 0.

    >>> keras.ops.convert_to_numpy(normalized(np.array([[[1.0, 3.0], [0.0, 0.0]]]))).tolist()
    [[[0.25, 0.75], [0.0, 0.0]]]
    """
    matrix = ops.convert_to_tensor(matrix)
    rows = ops.sum(matrix, axis=-1, keepdims=True)
    return matrix / ops.where(rows > 0, rows, ops.ones_like(rows))


def with_residual(matrix: Any, residual: float) -> Any:
    """residual I + (1 - residual) A, with rows that sum to 1: a token that sees nothing keeps to itself.

    Args:
        matrix: A, float32 tensor (B, T, T) of numbers >= 0.
        residual: share of the identity, in [0, 1].

    >>> keras.ops.convert_to_numpy(with_residual(np.array([[[0.0, 1.0], [0.0, 0.0]]]), 0.5)).tolist()
    [[[0.5, 0.5], [0.0, 1.0]]]
    """
    return normalized(residual * ops.eye(matrix.shape[-1], dtype=matrix.dtype) + (1 - residual) * matrix)


def positive_influence(weights: Any, gradients: Any) -> Any:
    """Mean over heads of max(A ∂F/∂A, 0).

    Args:
        weights: A, float32 tensor (B, N, T, S).
        gradients: ∂F/∂A, likewise.
    Returns:
        (B, T, S).

    >>> gradients = np.array([[[[4.0]], [[-2.0]]]])
    >>> keras.ops.convert_to_numpy(positive_influence(np.full((1, 2, 1, 1), 0.5), gradients)).tolist()
    [[[1.0]]]
    """
    return ops.mean(ops.maximum(weights * gradients, 0.0), axis=1)


def start(queries: Any, query: int | None) -> Any:
    """The row vector that picks one query, or the mean of those that see something.

    Args:
        queries: float32 or bool tensor (B, T), which queries see something.
        query: its number, or None for the mean.
    Returns:
        float32 (B, 1, T), a row that sums to 1, or to 0 where nothing sees anything.

    >>> keras.ops.convert_to_numpy(start(np.array([[True, True, False]]), None)).tolist()
    [[[0.5, 0.5, 0.0]]]
    """
    queries = ops.cast(queries, "float32")
    if query is None:
        count = ops.sum(queries, axis=-1, keepdims=True)
        row = queries / ops.maximum(count, 1.0)
    else:
        row = ops.zeros_like(queries) + ops.one_hot(query, queries.shape[-1], dtype="float32")
    return ops.expand_dims(row, 1)


def carried_back(row: Any, matrices: list) -> Any:
    """row M_L ... M_1: from the last layer to the tokens that entered the first, in L products with one row.

    Args:
        row: (B, 1, T), from `start`.
        matrices: L tensors (B, T, S), first layer first; a later one has as many keys as the one before has queries.
    Returns:
        (B, S), of the first layer.

    >>> swap = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    >>> keras.ops.convert_to_numpy(carried_back(np.array([[[1.0, 0.0]]]), [swap])).tolist()
    [[0.0, 1.0]]
    """
    for matrix in reversed(matrices):
        row = ops.matmul(row, matrix)  # (B, 1, S)
    return row[:, 0]
