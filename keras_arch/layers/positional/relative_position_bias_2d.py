"""Learned bias of attention scores within a window of an image."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.layers.positional.position_bias import PositionBias, paired_positions
from keras_arch.ops.grids import check_grid, grid_positions


@register
class RelativePositionBias2D(PositionBias):
    """A trained number per head and offset in rows and columns, added to the attention scores of a window.

    bias[n, t, s] = table[(row[t] - row[s] + h - 1) * (2 w - 1) + column[t] - column[s] + w - 1, n].
    n: head, t: query, s: key, h, w: rows and columns of the window, whose tokens stand row by row.

    With `class_token` the first token stands outside the window, and three more rows of the table hold the bias of its
    query to the patches, of the patches to its key, and of it to itself.

    Args:
        num_heads: N, >= 1.
        window_size: (h, w), in patches.
        class_token: whether a class token precedes the window.
        embeddings_initializer: of the table, shape ((2 h - 1) (2 w - 1), N).
        embeddings_regularizer: of the table, or None.
        embeddings_constraint: of the table, or None.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        query: float tensor, shape (B, T, D), T = h w tokens, and one more with `class_token`; only its length counts.
            B: windows, D: features.
        key: likewise, shape (B, S, D); None: the query.
        query_positions: integer tensor, shape (T,) or (B, T): token indices, for a part of the window; None: all.
        key_positions: likewise.

    Returns:
        Tensor in the compute dtype, shape (1, N, T, S), or (B, N, T, S) if positions have a batch. `between(
        query_positions, key_positions)` gives the same, without the axis of size 1.

    Raises:
        ValueError: if the tokens are not those of the window, or positions are not integers or of rank 1 or 2.

    Source: Liu et al. 2021, arXiv:2103.14030, section 3.2; the class token: Bao et al. 2021, arXiv:2106.08254.

    >>> layer = ka.layers.RelativePositionBias2D(num_heads=2, window_size=(2, 3))
    >>> tuple(layer(np.zeros((1, 6, 4))).shape), tuple(layer.embeddings.shape)
    ((1, 2, 6, 6), (15, 2))
    """

    def __init__(
        self,
        num_heads: int,
        window_size: tuple[int, int],
        class_token: bool = False,
        embeddings_initializer: Any = "random_normal",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        **kwargs,
    ) -> None:
        super().__init__(num_heads, **kwargs)
        self.window_size = check_grid("window_size", window_size)
        self.class_token = bool(class_token)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.embeddings_regularizer = keras.regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = keras.constraints.get(embeddings_constraint)

    def build(self, query_shape: tuple | None = None, key_shape: tuple | None = None) -> None:
        rows, columns = self.window_size
        self.embeddings = self.add_weight(
            shape=((2 * rows - 1) * (2 * columns - 1) + 3 * self.class_token, self.num_heads),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            name="embeddings",
        )
        self.built = True

    def call(self, query: Any, key: Any = None, query_positions: Any = None, key_positions: Any = None) -> Any:
        tokens = self.window_size[0] * self.window_size[1] + self.class_token
        for name, x, positions in (("query", query, query_positions), ("key", key, key_positions)):
            if x is not None and positions is None and x.shape[1] not in (None, tokens):
                rule = f"must have {tokens} tokens for window_size={self.window_size}, class_token={self.class_token}"
                advice = f"Cut the image into such windows, or pass {name}_positions for a part of one."
                raise check.refuse(name, rule, x.shape[1], advice)
        return super().call(query, key, query_positions, key_positions)

    def between(self, query_positions: Any, key_positions: Any) -> Any:
        """Bias between token indices within the window, (N, T, S) or (B, N, T, S); see the class."""
        query, key = paired_positions(query_positions, key_positions)
        query_row, query_column, query_is_class = grid_positions(query, self.window_size, int(self.class_token))
        key_row, key_column, key_is_class = grid_positions(key, self.window_size, int(self.class_token))
        rows, columns = self.window_size
        index = (query_row - key_row + rows - 1) * (2 * columns - 1) + query_column - key_column + columns - 1
        if self.class_token:
            first = (2 * rows - 1) * (2 * columns - 1)
            index = ops.where(query_is_class, first, index)
            index = ops.where(key_is_class, ops.where(query_is_class, first + 2, first + 1), index)
        bias = ops.take(ops.cast(self.embeddings, self.compute_dtype), index, axis=0)  # (..., T, S, N)
        return ops.moveaxis(bias, -1, -3)  # (..., N, T, S)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "window_size": self.window_size,
            "class_token": self.class_token,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
            "embeddings_constraint": keras.constraints.serialize(self.embeddings_constraint),
        }
