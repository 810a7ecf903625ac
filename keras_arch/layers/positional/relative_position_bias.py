"""Learned bias of attention scores by bucketed distance."""

from typing import Any

import keras
from keras import ops

from keras_arch.core.registration import register
from keras_arch.layers.positional.position_bias import PositionBias, paired_positions
from keras_arch.ops.relative_buckets import relative_buckets


@register
class RelativePositionBias(PositionBias):
    """A trained number per head and bucket of distances, added to attention scores.

    bias[n, t, s] = table[bucket(q[s] - p[t]), n];  buckets in `keras_arch.ops.relative_buckets`.
    n: head, t: query, s: key, p: position of the query, q: of the key.

    Near distances have a bucket each, far ones share buckets that widen logarithmically. T5 uses one such layer in all
    blocks of an encoder or decoder: call it once and hand its output to `attention_bias=` of each attention, or hand
    the layer itself to `MultiHeadAttention(position_bias=...)`. T5's attention leaves the 1 / sqrt(H) of the scores
    out.

    Args:
        num_heads: N, >= 1.
        num_buckets: rows of the table; even if `bidirectional`.
        max_distance: in tokens; from here on all distances share a bucket.
        bidirectional: whether keys after the query have buckets of their own (encoder); otherwise they share that of
            distance 0 (decoder, where a causal mask hides them).
        embeddings_initializer: of the table.
        embeddings_regularizer: of the table, or None.
        embeddings_constraint: of the table, or None.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        query: float tensor, shape (B, T, D); only its length counts.   B: batch, T: query length, D: features.
        key: float tensor, shape (B, S, D), S: key length; None: the query.
        query_positions: integer tensor, shape (T,) or (B, T); None: S - T, ..., S - 1, the last query beside the last
            key.
        key_positions: integer tensor, shape (S,) or (B, S); None: 0, ..., S - 1.

    Returns:
        Tensor in the compute dtype, shape (1, N, T, S), or (B, N, T, S) if positions have a batch. `between(
        query_positions, key_positions)` gives the same, without the axis of size 1.

    Raises:
        ValueError: if sizes are out of range, or positions are not integers or of rank 1 or 2.

    Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1.

    >>> layer = ka.layers.RelativePositionBias(num_heads=2, num_buckets=8, max_distance=16)
    >>> bias = layer(np.zeros((1, 3, 4)))
    >>> tuple(bias.shape), bool(bias[0, 0, 0, 0] == bias[0, 0, 2, 2])
    ((1, 2, 3, 3), True)
    """

    depends_on_distance_only = True

    def __init__(
        self,
        num_heads: int,
        num_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
        embeddings_initializer: Any = "random_normal",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        **kwargs,
    ) -> None:
        super().__init__(num_heads, **kwargs)
        relative_buckets([0], num_buckets, max_distance, bidirectional)
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bool(bidirectional)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.embeddings_regularizer = keras.regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = keras.constraints.get(embeddings_constraint)

    def build(self, query_shape: tuple | None = None, key_shape: tuple | None = None) -> None:
        self.embeddings = self.add_weight(
            shape=(self.num_buckets, self.num_heads),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            name="embeddings",
        )
        self.built = True

    def between(self, query_positions: Any, key_positions: Any) -> Any:
        """Bias between positions, (N, T, S) or (B, N, T, S); see the class."""
        query, key = paired_positions(query_positions, key_positions)
        buckets = relative_buckets(key - query, self.num_buckets, self.max_distance, self.bidirectional)
        bias = ops.take(ops.cast(self.embeddings, self.compute_dtype), buckets, axis=0)  # (..., T, S, N)
        return ops.moveaxis(bias, -1, -3)  # (..., N, T, S)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
            "embeddings_constraint": keras.constraints.serialize(self.embeddings_constraint),
        }
