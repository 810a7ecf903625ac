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
    results: Sequence[Any],
    *,
    before: Callable[..., tuple] | None = None,
    after: Callable[..., tuple] | None = None,
    sums: Sequence[Any] = (),
    reverse: bool = False,
) -> tuple[Any, ...]:
    """Run `step` over time, which is the first axis, and join what it gives for each step.

    A chunk goes through `before`, which computes from whole chunks what needs no state, then step by step through
    `step`, then through `after`: what stands in the first and the last is a few large operations and not many small
    ones. While one chunk's steps run, the next one can be prepared. No gradient passes: callers give their own. Cutting
    the first axis copies nothing.   T: time, B: batch, C: steps of a chunk.

    Args:
        step: (state, *values of one step, (B, ...) each) -> (state, *values to keep, (B, ...) each).
        state: before the first step, (B, ...).
        sequences: tensors (T, B, ...). Those of unknown or indivisible length are filled up with zeros at the end.
        results: one tensor (B, ...) for each sequence that comes back, with the shape and dtype of one of its steps.
        before: (*chunks of the sequences, (C, B, ...)) -> (*chunks for `step`); None hands on the sequences.
        after: (state before the chunk, *chunks of what `step` keeps, *chunks for `step`, *chunks of the sequences) ->
            (*chunks to return, *what to add to the sums); None returns what `step` keeps.
        sums: what the sums over all chunks start from, tensors of any shape.
        reverse: whether to run from the last step to the first.
    Returns:
        The state after the last step, tensors (T, B, ...) in the order of time, and the sums.
    """
    sequences = [tf.stop_gradient(tensor) for tensor in sequences]
    state, sums = tf.stop_gradient(state), [tf.stop_gradient(value) for value in sums]
    known = sequences[0].shape[0]
    length = tf.shape(sequences[0])[0] if known is None else known
    steps = chunk_length(known)
    chunks = -(-length // steps)
    if known is None or known % steps:
        sequences = [_filled(tensor, chunks * steps - length) for tensor in sequences]

    def run(state: Any, pieces: list) -> tuple[Any, tuple]:
        entering = state
        inputs = tuple(pieces) if before is None else before(*pieces)
        rows = [tf.unstack(tensor, steps) for tensor in inputs]
        kept: list = [None] * steps
        for t in reversed(range(steps)) if reverse else range(steps):
            state, *kept[t] = step(state, *(row[t] for row in rows))
        tiles = [tf.stack(values) for values in zip(*kept, strict=True)]  # (C, B, ...)
        return state, tuple(tiles) if after is None else after(entering, *tiles, *inputs, *pieces)

    count = len(results)

    if known is not None and known <= steps:
        state, given = run(state, sequences)
        return state, *given[:count], *(total + more for total, more in zip(sums, given[count:], strict=True))

    arrays = [
        tf.TensorArray(result.dtype, chunks, element_shape=tf.TensorShape([steps]).concatenate(result.shape))
        for result in results
    ]

    def body(turn: Any, state: Any, arrays: list, sums: list) -> tuple:
        place = chunks - 1 - turn if reverse else turn
        state, given = run(state, [_chunk(tensor, place, steps) for tensor in sequences])
        arrays = [array.write(place, tile) for array, tile in zip(arrays, given[:count], strict=True)]
        return turn + 1, state, arrays, [total + more for total, more in zip(sums, given[count:], strict=True)]

    _, state, arrays, sums = tf.while_loop(
        lambda turn, *_: turn < chunks,
        body,
        (0, state, arrays, sums),
        maximum_iterations=chunks,
        parallel_iterations=4,
    )
    return state, *(_joined(array.stack(), known, length) for array in arrays), *sums


def _chunk(tensor: Any, place: Any, steps: int) -> Any:
    """(C, B, ...) at a place that a loop counts. XLA takes a slice only with a start and a size, not with an end."""
    rest = tf.shape(tensor)[1:]
    piece = tf.slice(tensor, tf.concat([[place * steps], tf.zeros_like(rest)], 0), tf.concat([[steps], rest], 0))
    return tf.ensure_shape(piece, (steps, *tensor.shape[1:]))


def _filled(tensor: Any, more: Any) -> Any:
    """Lengthen time by zeros at the end."""
    return tf.pad(tensor, [[0, more]] + [[0, 0]] * (tensor.shape.rank - 1))


def _joined(tiles: Any, known: int | None, length: Any) -> Any:
    """(chunks, C, B, ...) -> (T, B, ...)"""
    shape = tf.shape(tiles)
    joined = tf.reshape(tiles, tf.concat([[shape[0] * shape[1]], shape[2:]], axis=0))
    if known is None or known % tiles.shape[1]:
        joined = joined[:length]
    return tf.ensure_shape(joined, (known, *tiles.shape[2:]))
