"""How well one query fits each step of a memory."""

from typing import Any

from keras import ops

from keras_arch.ops.attention import masked_softmax
from keras_arch.ops.precision import at_least_float32

Tensor = Any


def multiplicative_scores(query: Tensor, keys: Tensor, gain: Tensor | None = None) -> Tensor:
    """Scores of Luong: g q · k_s.

    B: batch size, S: memory length, U: features.

    Args:
        query: q, shape (B, U).
        keys: k, shape (B, S, U).
        gain: g, a scalar; None is 1.
    Returns:
        Shape (B, S).
    Source: Luong, Pham and Manning 2015, arXiv:1508.04025, equation 8, "dot" of projected keys: "general".

    >>> keras.ops.convert_to_numpy(multiplicative_scores(np.ones((1, 2)), np.array([[[1.0, 2.0]]]))).tolist()
    [[3.0]]
    """
    query = query if gain is None else query * gain
    return ops.squeeze(ops.matmul(keys, ops.expand_dims(query, -1)), -1)


def additive_scores(
    query: Tensor, keys: Tensor, direction: Tensor, gain: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """Scores of Bahdanau: v · tanh(q + k_s), or normalized, g v / |v| · tanh(q + k_s + b).

    Args:
        query: q, shape (B, U).
        keys: k, shape (B, S, U).
        direction: v, shape (U,).
        gain: g, a scalar, for the normalized scores; None for the plain ones.
        shift: b, shape (U,); None is 0.
    Returns:
        Shape (B, S).
    Source: Bahdanau, Cho and Bengio 2015, arXiv:1409.0473, section A.1.2; normalized: Salimans and Kingma 2016,
        arXiv:1602.07868.

    >>> scores = additive_scores(np.zeros((1, 2)), np.zeros((1, 3, 2)), np.ones(2))
    >>> keras.ops.convert_to_numpy(scores).tolist()
    [[0.0, 0.0, 0.0]]
    """
    if gain is not None:
        wide = ops.cast(direction, at_least_float32(direction.dtype))
        unit = wide * ops.rsqrt(ops.sum(ops.square(wide)))
        direction = ops.cast(unit, direction.dtype) * gain
    query = query if shift is None else ops.add(query, shift)
    fit = ops.tanh(ops.add(keys, ops.expand_dims(query, 1)))  # (B, S, U)
    return ops.squeeze(ops.matmul(fit, ops.expand_dims(direction, -1)), -1)


def read_memory(scores: Tensor, values: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Weigh a memory by the softmax of scores, in float32, over the steps that are visible.

    Args:
        scores: shape (B, S).
        values: shape (B, S, M).
        visible: shape (B, S), above 0 where seen; where nothing is, all weights are 0.
    Returns:
        Context (B, M) and alignments (B, S), of the dtype of the values.

    >>> context, alignments = read_memory(np.zeros((1, 2)), np.array([[[2.0], [4.0]]]), np.ones((1, 2)))
    >>> keras.ops.convert_to_numpy(context).tolist(), keras.ops.convert_to_numpy(alignments).tolist()
    ([[3.0]], [[0.5, 0.5]])
    """
    alignments = ops.cast(masked_softmax(scores, ops.greater(visible, 0)), values.dtype)
    return ops.squeeze(ops.matmul(ops.expand_dims(alignments, 1), values), 1), alignments
