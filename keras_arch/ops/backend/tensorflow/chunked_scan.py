"""A loop over time in chunks of unrolled steps, for known and unknown lengths, with and without XLA."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

STEPS = 64  # unrolled in a chunk of a known length: fewer cost loop turns, more cost tracing time
UNKNOWN_STEPS = 32  # in a chunk of an unknown length, which is filled up to whole chunks


def chunk_length(length: int | None) -> int:
    """How many steps are unrolled in a chunk: a divisor of the length near `STEPS`, if it has one.

    >>> chunk_length(40), chunk_length(256), chunk_length(1000), chunk_length(127), chunk_length(None)
    (40, 64, 50, 64, 32)
    """
    if length is None:
        return UNKNOWN_STEPS
    if length <= STEPS:
        return max(length, 1)
    return next((steps for steps in range(STEPS, STEPS // 4, -1) if length % steps == 0), STEPS)


def chunked_scan(
    step: Callable[..., tuple],
    state: Any,
    sequences: Sequence[Any],
    results: int,
    *,
    before: Callable[..., tuple] | None = None,
    after: Callable[..., tuple] | None = None,
    reverse: bool = False,
) -> tuple[Any, ...]:
    """Run `step` over time, and join what it gives for each step.

    A chunk goes through `before`, which computes from whole chunks what needs no state, then step by step through
    `step`, then through `after`: what stands in the first and the last is a few large operations and not many small
    ones. No gradient passes: callers give their own. B: batch, T: time, C: steps of a chunk.

    Args:
        step: (state, *values of one step, (B, ...) each) -> (state, *values to keep, (B, ...) each).
        state: before the first step, (B, ...).
        sequences: tensors (B, T, ...). Those of unknown or indivisible length are filled up with zeros at the end.
        results: how many tensors come back; each has the dtype of the state and the shape (B, T, ...) of it over time.
        before: (*chunks of the sequences, (B, C, ...)) -> (*chunks for `step`); None hands on the sequences.
        after: (*chunks of what `step` keeps, *chunks for `step`, *chunks of the sequences) -> (*chunks to return);
            None returns what `step` keeps.
        reverse: whether to run from the last step to the first.
    Returns:
        The state after the last step, and tensors (B, T, ...) in the order of time.
    """
    sequences = [tf.stop_gradient(tensor) for tensor in sequences]
    state = tf.stop_gradient(state)
    known = sequences[0].shape[1]
    length = tf.shape(sequences[0])[1] if known is None else known
    steps = chunk_length(known)
    chunks = -(-length // steps)
    if known is None or known % steps:
        sequences = [_filled(tensor, chunks * steps - length) for tensor in sequences]

    def run(state: Any, pieces: list) -> tuple[Any, tuple]:
        inputs = tuple(pieces) if before is None else before(*pieces)
        columns = [tf.unstack(tensor, steps, axis=1) for tensor in inputs]
        kept: list = [None] * steps
        for t in reversed(range(steps)) if reverse else range(steps):
            state, *kept[t] = step(state, *(column[t] for column in columns))
        tiles = [tf.stack(values, axis=1) for values in zip(*kept, strict=True)]  # (B, C, ...)
        return state, tuple(tiles) if after is None else after(*tiles, *inputs, *pieces)

    if known is not None and known <= steps:
        state, tiles = run(state, sequences)
        return state, *tiles

    shape = (state.shape[0], steps, *state.shape[1:])
    arrays = [tf.TensorArray(state.dtype, chunks, element_shape=shape) for _ in range(results)]

    def body(turn: Any, state: Any, *arrays: tf.TensorArray) -> tuple:
        place = chunks - 1 - turn if reverse else turn
        state, tiles = run(state, [_chunk(tensor, place, steps) for tensor in sequences])
        return turn + 1, state, *(array.write(place, tile) for array, tile in zip(arrays, tiles, strict=True))

    _, state, *arrays = tf.while_loop(
        lambda turn, *_: turn < chunks, body, (0, state, *arrays), maximum_iterations=chunks, parallel_iterations=1
    )
    return state, *(_joined(array.stack(), known, length) for array in arrays)


def _chunk(tensor: Any, place: Any, steps: int) -> Any:
    """(B, C, ...) at a place that a loop counts. XLA takes a slice only with a start and a size, not with an end."""
    shape = tf.shape(tensor)
    start = tf.concat([[0, place * steps], tf.zeros_like(shape[2:])], axis=0)
    piece = tf.slice(tensor, start, tf.concat([shape[:1], [steps], shape[2:]], axis=0))
    return tf.ensure_shape(piece, (tensor.shape[0], steps, *tensor.shape[2:]))


def _filled(tensor: Any, more: Any) -> Any:
    """Lengthen time by zeros at the end."""
    return tf.pad(tensor, [[0, 0], [0, more]] + [[0, 0]] * (tensor.shape.rank - 2))


def _joined(tiles: Any, known: int | None, length: Any) -> Any:
    """(chunks, B, C, ...) -> (B, T, ...)"""
    rest = list(range(3, tiles.shape.rank))
    tiles = tf.transpose(tiles, (1, 0, 2, *rest))  # (B, chunks, C, ...)
    shape = tf.shape(tiles)
    joined = tf.reshape(tiles, tf.concat([shape[:1], [shape[1] * shape[2]], shape[3:]], axis=0))
    if known is None or known % tiles.shape[2]:
        joined = joined[:, :length]
    return tf.ensure_shape(joined, (tiles.shape[0], known, *tiles.shape[3:]))
