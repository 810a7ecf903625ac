"""Which axes of attention scores come from queries, keys and heads."""

from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from keras import ops

from keras_arch.core import check


@dataclass(frozen=True)
class ScoreLayout:
    """Axes of attention over any axes of a tensor.

    Queries, keys and values are projected to (B, ..., N, H); the axes in `axes` are attended over, the others but N and
    H are batch. Scores are laid out as (batch axes, N, query axes, key axes). For sequences, rank 4 and axes (1,):
    query (B, T, N, H), key and value (B, S, N, H), scores (B, N, T, S).
    B: batch, N: heads, T: query length, S: key length, H: features per head.

    Args:
        rank: axes of the projected query, at least 4.
        axes: the attended axes, from 1 to rank - 3; negative ones count from the last axis of the unprojected tensor.

    >>> ScoreLayout(4, (1,)).products
    ('abcd,aecd->acbe', 'acbe,aecd->abcd')
    >>> ScoreLayout(5, (2,)).scores((2, 3, 4, 8), (2, 3, 5, 8), heads=6)
    (2, 3, 6, 4, 5)
    """

    rank: int
    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        axes = tuple(axis + self.rank - 1 if axis < 0 else axis for axis in self.axes)
        if not axes or len(set(axes)) < len(axes) or min(axes) < 1 or max(axes) > self.rank - 3:
            advice = f"An input with {self.rank - 1} axes can attend over the axes 1 to {self.rank - 3}."
            raise check.refuse("attention_axes", "must be distinct axes between batch and features", self.axes, advice)
        object.__setattr__(self, "axes", axes)

    @property
    def order(self) -> tuple[int, ...]:
        """The query's axes but the last, in the order in which scores have them."""
        batch = tuple(axis for axis in range(self.rank - 2) if axis not in self.axes)
        return (*batch, self.rank - 2, *self.axes)

    @property
    def key_axes(self) -> tuple[int, ...]:
        """The score axes that run over keys, counted from the end."""
        return tuple(range(-len(self.axes), 0))

    @property
    def products(self) -> tuple[str, str]:
        """Einsum equations of query and key to scores, and of weights and value to output."""
        query = ascii_lowercase[: self.rank]
        fresh = iter(ascii_lowercase[self.rank :])
        key = "".join(next(fresh) if axis in self.axes else query[axis] for axis in range(self.rank))
        scores = "".join(query[axis] for axis in self.order) + "".join(key[axis] for axis in self.axes)
        return f"{query},{key}->{scores}", f"{scores},{key}->{query}"

    def scores(self, query_shape: tuple, key_shape: tuple, heads: int) -> tuple:
        """Shape of the scores, from the shapes of the unprojected query and key."""
        query_shape = (*query_shape[:-1], heads)
        return (*(query_shape[axis] for axis in self.order), *(key_shape[axis] for axis in self.axes))

    def query_mask(self, mask: Any) -> Any:
        """Lay a mask over queries, (B, T) or with all axes of the input but the last, out to broadcast to scores."""
        mask = self._ordered(mask)  # (batch axes, 1, query axes)
        return ops.expand_dims(mask, self.key_axes)

    def key_mask(self, mask: Any) -> Any:
        """Lay a mask over keys out to broadcast to scores."""
        mask = self._ordered(mask)  # (batch axes, 1, key axes)
        return ops.expand_dims(mask, tuple(range(self.rank - 1 - len(self.axes), self.rank - 1)))

    def attention_mask(self, mask: Any) -> Any:
        """Give a mask the axes of scores that it lacks: heads first, as Keras does, then leading batch axes."""
        heads = -2 * len(self.axes) - 1
        missing = self.rank - 1 + len(self.axes) - len(mask.shape)
        for _ in range(missing):
            mask = ops.expand_dims(mask, max(heads, -len(mask.shape) - 1))
        return mask

    def rows(self, per_query: Any) -> Any:
        """Turn one value per query, in the scores' layout with keys of length 1, into the layout of the output."""
        per_query = ops.squeeze(per_query, self.key_axes)
        back = tuple(self.order.index(axis) for axis in range(self.rank - 1))
        return ops.expand_dims(ops.transpose(per_query, back), -1)

    def _ordered(self, mask: Any) -> Any:
        mask = ops.convert_to_tensor(mask, dtype="bool")
        missing = self.rank - 1 - len(mask.shape)  # heads, and what a (B, T) mask says nothing about
        mask = ops.expand_dims(mask, tuple(range(-missing, 0)))
        return ops.transpose(mask, self.order)
