"""What the biases of attention scores share: positions by default, and a call that gives the bias itself."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.ops.positions import as_positions


class PositionBias(keras.layers.Layer):
    """A bias of attention scores that depends on positions only.

    A subclass defines `between(query_positions, key_positions)`: integer positions (T,) or (B, T), and (S,) or (B, S),
    to a float tensor (N, T, S), or (B, N, T, S) if either has a batch.
    B: batch, T: query length, S: key length, N: heads.

    Args:
        num_heads: N, >= 1.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    >>> issubclass(ka.layers.ALiBiBias, PositionBias)
    True
    """

    depends_on_distance_only = False  # if so, attention in a band computes the bias of one block for all

    def __init__(self, num_heads: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.num_heads = check.integer("num_heads", num_heads)
        self.supports_masking = True

    def call(self, query: Any, key: Any = None, query_positions: Any = None, key_positions: Any = None) -> Any:
        key = query if key is None else key
        length = ops.shape(key)[1]
        if query_positions is None:
            query_length = ops.shape(query)[1]
            query_positions = ops.arange(query_length, dtype="int32") + (length - query_length)
        if key_positions is None:
            key_positions = ops.arange(length, dtype="int32")
        bias = self.between(query_positions, key_positions)
        return bias if len(bias.shape) == 4 else ops.expand_dims(bias, 0)  # (B or 1, N, T, S)

    def compute_mask(self, query: Any, previous_mask: Any = None) -> None:
        """None: a bias is added to scores, whose mask comes from queries and keys."""
        return

    def compute_output_shape(
        self,
        query_shape: tuple,
        key_shape: tuple | None = None,
        query_positions_shape: tuple | None = None,
        key_positions_shape: tuple | None = None,
    ) -> tuple:
        key_shape = query_shape if key_shape is None else key_shape
        batches = [shape[0] for shape in (query_positions_shape, key_positions_shape) if shape and len(shape) == 2]
        batch = next((size for size in batches if size != 1), 1)
        return (batch, self.num_heads, query_shape[1], key_shape[1])

    def get_config(self) -> dict:
        return {**super().get_config(), "num_heads": self.num_heads}


def paired_positions(query_positions: Any, key_positions: Any) -> tuple[Any, Any]:
    """Check the positions of queries and keys, and give them axes to broadcast with each other.

    Returns:
        int32 tensors of the shapes (T, 1) and (1, S); or (B, T, 1) and (B or 1, 1, S) if one of them has a batch.
    Raises:
        ValueError: if they are not integers or have more than two axes.

    >>> query, key = paired_positions([4, 5], [[0, 1, 2]])
    >>> tuple(query.shape), tuple(key.shape)
    ((1, 2, 1), (1, 1, 3))
    """
    both = []
    for name, positions in (("query_positions", query_positions), ("key_positions", key_positions)):
        positions = as_positions(name, positions)
        if len(positions.shape) not in (1, 2):
            advice = "Pass (length,) or (batch, length)."
            raise check.refuse(name, "must have rank 1 or 2", tuple(positions.shape), advice)
        both.append(positions)
    rank = max(len(positions.shape) for positions in both)
    query, key = (ops.expand_dims(one, 0) if len(one.shape) < rank else one for one in both)
    return ops.expand_dims(query, -1), ops.expand_dims(key, -2)
