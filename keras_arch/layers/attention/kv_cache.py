"""Keys and values of the steps that attention has already seen."""

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_arch.core import check


class _Entries(NamedTuple):
    key: Any
    value: Any
    positions: Any
    mask: Any
    length: Any


class KVCache(_Entries):
    """Keys and values of earlier steps, so that decoding a step does not compute them again.

    A tuple of tensors, so it passes through `tf.function`, `jax.jit`, `keras.ops.while_loop` and layers as it is. It is
    never changed: `extended` returns a new one. Three kinds, by how they grow:

    * `KVCache.growing(...)` has as many slots as steps: its shape changes with each call.
    * `KVCache.static(..., max_length=C)` has C slots from the start: one compiled function serves all steps.
    * `KVCache.sliding(..., window=C)` keeps the last C steps: for attention with a `sliding_window` of at most C + 1.

    B: batch, C: slots, M: key heads, H: features per key head, V: features per value head.

    Attributes:
        key: (B, C, M, H).
        value: (B, C, M, V).
        positions: int32 (B, C), the position of each step.
        mask: bool (B, C), False for padding and empty slots.
        length: int32 scalar, steps seen so far, padding included.

    Args of the three constructors:
        batch_size: B.
        num_heads: M.
        key_dim: H.
        value_dim: V; None for H.
        dtype: of keys and values; None for `keras.config.floatx()`.

    >>> cache = ka.layers.KVCache.growing(batch_size=1, num_heads=2, key_dim=4)
    >>> step = np.ones((1, 3, 2, 4), "float32")
    >>> _, cache = cache.extended(step, step)
    >>> cache
    KVCache(growing, 3 steps, key (1, 3, 2, 4), value (1, 3, 2, 4), float32)
    """

    __slots__ = ()
    kind = "growing"

    @staticmethod
    def growing(
        batch_size: int, num_heads: int, key_dim: int, value_dim: int | None = None, dtype: str | None = None
    ) -> "KVCache":
        """An empty cache that gets a slot a step."""
        return KVCache._empty(batch_size, 0, num_heads, key_dim, value_dim, dtype)

    @staticmethod
    def static(
        batch_size: int,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dtype: str | None = None,
        *,
        max_length: int,
    ) -> "StaticKVCache":
        """An empty cache of `max_length` slots."""
        slots = check.integer("max_length", max_length)
        return StaticKVCache._empty(batch_size, slots, num_heads, key_dim, value_dim, dtype)

    @staticmethod
    def sliding(
        batch_size: int,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dtype: str | None = None,
        *,
        window: int,
    ) -> "SlidingKVCache":
        """An empty cache of the last `window` steps."""
        slots = check.integer("window", window)
        return SlidingKVCache._empty(batch_size, slots, num_heads, key_dim, value_dim, dtype)

    @classmethod
    def _empty(cls, batch_size: int, slots: int, num_heads: int, key_dim: int, value_dim: Any, dtype: Any) -> Any:
        batch_size = check.integer("batch_size", batch_size)
        dtype = keras.config.floatx() if dtype is None else keras.backend.standardize_dtype(dtype)
        value_dim = key_dim if value_dim is None else value_dim
        return cls(
            ops.zeros((batch_size, slots, num_heads, key_dim), dtype),
            ops.zeros((batch_size, slots, num_heads, value_dim), dtype),
            ops.zeros((batch_size, slots), "int32"),
            ops.zeros((batch_size, slots), "bool"),
            ops.zeros((), "int32"),
        )

    def extended(self, key: Any, value: Any, positions: Any = None, mask: Any = None) -> tuple["KVCache", "KVCache"]:
        """Take in the next steps.

        Args:
            key: (B, T, M, H).   T: new steps.
            value: (B, T, M, V).
            positions: int (T,) or (B, T); None counts on from `length`.
            mask: bool (B, T), False for padding; None if there is none.
        Returns:
            (seen, carried): the cache that the new queries attend to, and the one for the next call. They differ for
            a sliding cache only, whose first new query may still see the oldest step. When a static cache overflows
            in compiled code, which can't raise, it holds nan.
        Raises:
            ValueError: if the steps do not fit into a static cache, or the batch differs.
        """
        batch, steps = ops.shape(key)[:2]
        if isinstance(batch, int) and isinstance(self.key.shape[0], int) and batch != self.key.shape[0]:
            advice = f"It was made for {self.key.shape[0]} samples: make one for this batch."
            raise check.refuse("cache", "must have the batch size of the query", tuple(self.key.shape), advice)
        if positions is None:
            positions = self.length + ops.arange(steps, dtype="int32")
        positions = ops.broadcast_to(ops.cast(positions, "int32"), (batch, steps))
        mask = ops.ones((batch, steps), "bool") if mask is None else ops.cast(mask, "bool")
        new = (ops.cast(key, self.key.dtype), ops.cast(value, self.value.dtype), positions, mask)
        return self._joined(new, steps)

    def _joined(self, new: tuple, steps: Any) -> tuple["KVCache", "KVCache"]:
        parts = [ops.concatenate([old, part], axis=1) for old, part in zip(self[:4], new, strict=True)]
        seen = type(self)(*parts, self.length + steps)
        return seen, seen

    @property
    def order(self) -> Any:
        """int32 (C,): which step each slot holds, counted from the first ever; negative or >= `length` if empty."""
        return ops.arange(ops.shape(self.key)[1], dtype="int32")

    def __repr__(self) -> str:
        if not hasattr(self.key, "shape"):  # Keras puts a description in place of each tensor of a nested argument
            return f"KVCache({self.kind}, {', '.join(f'{name}={part}' for name, part in self._asdict().items())})"
        known = known_integer(self.length)
        steps = "an unknown number of" if known is None else known
        shapes = f"key {tuple(self.key.shape)}, value {tuple(self.value.shape)}"
        return f"KVCache({self.kind}, {steps} steps, {shapes}, {keras.backend.standardize_dtype(self.key.dtype)})"


class StaticKVCache(KVCache):
    """A cache of a fixed number of slots; `KVCache.static` makes it.

    >>> cache = KVCache.static(1, 2, 4, max_length=5)
    >>> cache.extended(np.ones((1, 3, 2, 4)), np.ones((1, 3, 2, 4)))[1]
    KVCache(static, 3 steps, key (1, 5, 2, 4), value (1, 5, 2, 4), float32)
    """

    __slots__ = ()
    kind = "static"

    def _joined(self, new: tuple, steps: Any) -> tuple[KVCache, KVCache]:
        slots = self.key.shape[1]
        known = known_integer(self.length)
        if known is not None and isinstance(steps, int) and known + steps > slots:
            raise ValueError(
                f"cache must have room for the new steps; received a cache of max_length={slots} that holds {known} "
                f"steps, and {steps} more. Make it with max_length={known + steps} or more, or use a sliding cache."
            )
        parts = [
            ops.slice_update(old, (0, self.length, *[0] * (len(old.shape) - 2)), part)
            for old, part in zip(self[:4], new, strict=True)
        ]
        if known is None:  # compiled code can't raise
            fits = self.length + steps <= slots
            parts[:2] = [ops.where(fits, part, ops.cast(float("nan"), part.dtype)) for part in parts[:2]]
        seen = StaticKVCache(*parts, self.length + steps)
        return seen, seen


class SlidingKVCache(KVCache):
    """A cache of the last steps; `KVCache.sliding` makes it.

    >>> cache = KVCache.sliding(1, 2, 4, window=2)
    >>> cache.extended(np.ones((1, 3, 2, 4)), np.ones((1, 3, 2, 4)))[1]
    KVCache(sliding, 3 steps, key (1, 2, 2, 4), value (1, 2, 2, 4), float32)
    """

    __slots__ = ()
    kind = "sliding"

    def _joined(self, new: tuple, steps: Any) -> tuple[KVCache, KVCache]:
        seen, _ = super()._joined(new, steps)
        slots = self.key.shape[1]
        return seen, SlidingKVCache(*(part[:, -slots:] for part in seen[:4]), seen.length)

    @property
    def order(self) -> Any:
        slots = ops.shape(self.key)[1]
        return ops.arange(slots, dtype="int32") + (self.length - slots)


def known_integer(scalar: Any) -> int | None:
    """The value of an integer scalar, or None while code is being traced.

    >>> known_integer(keras.ops.ones((), "int32"))
    1
    """
    try:
        return int(ops.convert_to_numpy(scalar))
    except Exception:  # each backend has an error of its own for a scalar without a value
        return None
