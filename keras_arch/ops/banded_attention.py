"""Attention within a window, by blocks: time and memory grow with the length, not with its square."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_arch.ops.attention import all_shown, fold_hiding_bias, unmasked_softmax

LARGEST_BLOCK = 128


def banded_attention(
    query: Any,
    key: Any,
    value: Any,
    window: int,
    masks: tuple = (),
    bias: Any = None,
    *,
    bias_between: Callable[[Any, Any], Any] | None = None,
    causal: bool = False,
    soft_cap: float | None = None,
    sinks: Any = None,
    drop: Callable[[Any], Any] | None = None,
    block: int | None = None,
) -> Any:
    """Attention of each query to the keys less than `window` steps away, the last query beside the last key.

    The steps are cut into blocks of b. A block of queries meets the block of keys beside it and as many before (and,
    unless causal, after) as the window reaches: about window + 2 b keys a query in place of S.

    Args:
        query: (B, T, N, H), scaled.   B: batch, T: query length, N: heads, H: features per head.
        key: (B, S, M, H), M dividing N.   S: key length.
        value: (B, S, M, V).
        window: how many steps before and after itself a query sees, its own included; >= 1.
        masks: bool tensors of rank 4 that broadcast to (B, N, T, S), True where seen.
        bias: None, or float tensor of rank 4 that broadcasts to (B, N, T, S).
        bias_between: None, or what gives (N, C, K) from integer positions (C,) and (K,), by their differences only.
        causal: whether later keys are hidden.
        soft_cap: None, or c in c tanh(score / c).
        sinks: None, or float (N,): a score per head that takes part in the sum and has no value.
        drop: what is done to the weights before they meet the values.
        block: b; None for half the window, at most 128.
    Returns:
        (B, T, N, V); zeros for a query that sees nothing.
    Source: Beltagy et al. 2020, arXiv:2004.05150, section 3.1.

    >>> x = np.ones((1, 10, 2, 4), "float32")
    >>> tuple(banded_attention(x, x, x, window=3).shape)
    (1, 10, 2, 4)
    """
    query, key, value = (ops.convert_to_tensor(x) for x in (query, key, value))
    heads, repeats = query.shape[2], query.shape[2] // key.shape[2]
    if repeats > 1:
        key, value = ops.repeat(key, repeats, axis=2), ops.repeat(value, repeats, axis=2)
    block = min(max(window // 2, 1), LARGEST_BLOCK) if block is None else block
    band = _Band(ops.shape(query)[1], ops.shape(key)[1], block, -(-(window - 1) // block), causal)

    queries = band.queries(ops.transpose(query, (0, 2, 1, 3)), 2)  # (B, N, n, b, H)
    keys = band.keys(ops.transpose(key, (0, 2, 1, 3)), 2)  # (B, N, n, K, H)
    values = band.keys(ops.transpose(value, (0, 2, 1, 3)), 2)
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2))  # (B, N, n, b, K)
    added = None if bias is None else band.scores(bias)
    if bias_between is not None:
        between = bias_between(ops.arange(block) + band.before * block, ops.arange(band.width))  # (N, b, K)
        between = ops.reshape(between, (1, heads, 1, block, band.width))
        added = between if added is None else added + between
    visible = all_shown([band.visible(window), *(band.scores(mask) for mask in masks)])  # (n, b, K) at least
    visible, added = fold_hiding_bias(visible, added)
    weights = ops.cast(unmasked_softmax(scores, visible, added, 1, soft_cap, sinks), query.dtype)
    output = ops.matmul(weights if drop is None else drop(weights), values)  # (B, N, n, b, V)
    sees = ops.any(visible, axis=-1, keepdims=True)
    output = ops.where(sees, output, ops.zeros((), output.dtype))
    return ops.transpose(band.joined(output), (0, 2, 1, 3))


class _Band:
    """n blocks of b steps that end with the last key, and for each block of queries the K keys it may reach.

    Args:
        length: T.
        memory: S.
        block: b.
        reach: blocks of keys that a window touches before the block of the query.
        causal: whether blocks after it are left out.
    """

    def __init__(self, length: Any, memory: Any, block: int, reach: int, causal: bool) -> None:
        self.length, self.memory, self.block = length, memory, block
        self.before, self.after = reach, 0 if causal else reach
        self.width = (self.before + 1 + self.after) * block
        self.causal = causal
        known = isinstance(length, int) and isinstance(memory, int)
        longest = max(length, memory) if known else ops.maximum(length, memory)
        self.blocks = -(-longest // block)
        self.steps = self.blocks * block  # n b >= T, S

    def queries(self, tensor: Any, axis: int) -> Any:
        """Axis of T queries -> axes of n blocks and b steps, filled up in front."""
        return self._split(_fill_front(tensor, axis, self.steps - self.length), axis)

    def keys(self, tensor: Any, axis: int) -> Any:
        """Axis of S keys -> axes of n blocks and the K keys that each may reach."""
        tensor = self._split(_fill_front(tensor, axis, self.steps - self.memory), axis)
        tensor = _fill_front(tensor, axis, self.before)
        if self.after:
            tensor = _fill_back(tensor, axis, self.after)
        last = self.before + self.after
        parts = [tensor[(*[slice(None)] * axis, slice(i, i - last or None))] for i in range(last + 1)]
        return ops.concatenate(parts, axis=axis + 1)

    def scores(self, tensor: Any) -> Any:
        """(B or 1, N or 1, T or 1, S or 1) -> what broadcasts to (B, N, n, b, K)."""
        if tensor.shape[2] == 1 and tensor.shape[3] == 1:
            return ops.expand_dims(tensor, 2)
        if tensor.shape[2] == 1:
            return ops.expand_dims(self.keys(ops.squeeze(tensor, 2), 2), 3)  # (., ., n, 1, K)
        if tensor.shape[3] == 1:
            return ops.expand_dims(self.queries(ops.squeeze(tensor, 3), 2), 4)  # (., ., n, b, 1)
        rows, columns = self._rows(), self._columns()
        rows, columns = rows - (self.steps - self.length), columns - (self.steps - self.memory)
        places = ops.maximum(rows, 0) * self.memory + ops.clip(columns, 0, self.memory - 1)  # (n, b, K)
        shape = ops.shape(tensor)
        return ops.take(ops.reshape(tensor, (shape[0], shape[1], self.length * self.memory)), places, axis=-1)

    def visible(self, window: int) -> Any:
        """(n, b, K): which keys exist and lie in the window."""
        rows, columns = self._rows(), self._columns()
        lead = rows - columns
        near = ops.logical_and(lead < window, lead >= 0 if self.causal else lead > -window)
        real = ops.logical_and(columns >= self.steps - self.memory, columns < self.steps)
        return ops.logical_and(near, real)

    def joined(self, tensor: Any) -> Any:
        """(B, N, n, b, V) -> (B, N, T, V)"""
        shape = ops.shape(tensor)
        tensor = ops.reshape(tensor, (shape[0], shape[1], self.steps, tensor.shape[4]))
        return tensor[:, :, self.steps - self.length :]

    def _rows(self) -> Any:
        steps = ops.arange(self.steps, dtype="int32")
        return ops.reshape(steps, (self.blocks, self.block, 1))

    def _columns(self) -> Any:
        first = (ops.arange(self.blocks, dtype="int32") - self.before) * self.block
        return ops.reshape(first, (-1, 1, 1)) + ops.reshape(ops.arange(self.width, dtype="int32"), (1, 1, -1))

    def _split(self, tensor: Any, axis: int) -> Any:
        shape = ops.shape(tensor)
        return ops.reshape(tensor, (*shape[:axis], self.blocks, self.block, *shape[axis + 1 :]))


def _fill_front(tensor: Any, axis: int, more: Any) -> Any:
    """Zeros, or False, before an axis."""
    if isinstance(more, int) and more == 0:
        return tensor
    shape = ops.shape(tensor)
    return ops.concatenate([ops.zeros((*shape[:axis], more, *shape[axis + 1 :]), tensor.dtype), tensor], axis=axis)


def _fill_back(tensor: Any, axis: int, more: int) -> Any:
    shape = ops.shape(tensor)
    return ops.concatenate([tensor, ops.zeros((*shape[:axis], more, *shape[axis + 1 :]), tensor.dtype)], axis=axis)
