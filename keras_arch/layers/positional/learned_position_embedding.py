"""Trained position embedding that serves longer inputs by interpolation."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.grids import check_grid
from keras_arch.ops.interpolation import METHODS, resize_table, rows_between, stretched
from keras_arch.ops.positions import is_number, sequence_length, token_positions
from keras_arch.ops.precision import at_least_float32


@register
class LearnedPositionEmbedding(keras.layers.Layer):
    """Add a trained row per position to the features.

    output[b, t] = input[b, t] + table[p[b, t]];  for a sequence longer than the table the row is interpolated at
    (p + 1/2) * max_length / length - 1/2, which stretches the table over the sequence, padding included.
    B: batch, T: length, D: features, p: position.

    For images give `max_length=(h, w)`: the table has a row per cell of a grid, and grids of any other size get it
    resized as an image is, rows first. A mask passes through.

    A model that was trained at 128 goes on at 256 in one of two ways. Build it with `max_length=256` and load the
    weights saved at 128: the table is interpolated while it is loaded. Or take `layer.resized(256)`, a new built layer
    with the interpolated table, for example in the `clone_function` of `keras.models.clone_model`. A model that stays
    as it is interpolates in each call. With `interpolation=None` all of these raise.

    Args:
        max_length: number of positions with a row of their own, >= 1; or (rows, columns).
        interpolation: "linear" (2 nearest rows), "cubic" (4), or None: inputs longer than the table raise.
        embeddings_initializer: of the table, shape (max_length, D) or (rows, columns, D).
        embeddings_regularizer: of the table, or None.
        embeddings_constraint: of the table, or None.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (B, T, D), or (B, rows, columns, D) for a grid. T, rows, columns may be `None`.
        start_index: position of the first step, an integer or an integer scalar tensor; not for a grid.
        positions: integer tensor, shape (T,) or (B, T), in place of counting from `start_index`; not for a grid.
        length: of the whole sequence that `inputs` is a piece of, an integer or an integer scalar tensor; None: the
            last position + 1. A cached step with the `length` of a full pass adds what that pass adds.

    Returns:
        Tensor of the shape and the dtype of the (autocast) input. Interpolated in float32 or wider.

    Raises:
        ValueError: if the input has another rank, exceeds the table without `interpolation` (as far as sizes are known;
            an index beyond the table is the backend's error otherwise), or both `start_index` and `positions` are
            given.

    Source: Gehring et al. 2017, arXiv:1705.03122, section 3.1; the resized grid: Dosovitskiy et al. 2020,
        arXiv:2010.11929, section 3.2.

    >>> layer = ka.layers.LearnedPositionEmbedding(max_length=2)
    >>> layer.build((None, None, 1))
    >>> layer.embeddings.assign([[0.0], [1.0]]) is None or True
    True
    >>> keras.ops.convert_to_numpy(layer(np.zeros((1, 4, 1))))[0, :, 0].tolist()
    [0.0, 0.25, 0.75, 1.0]
    """

    def __init__(
        self,
        max_length: int | tuple[int, int],
        interpolation: str | None = "linear",
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        is_grid = isinstance(max_length, list | tuple)
        check_size = check_grid if is_grid else check.integer
        self.max_length = check_size("max_length", max_length)
        if interpolation is not None:
            check.one_of("interpolation", interpolation, METHODS)
        self.interpolation = interpolation
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.embeddings_regularizer = keras.regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = keras.constraints.get(embeddings_constraint)
        self.supports_masking = True

    @property
    def table_sizes(self) -> tuple[int, ...]:
        """Sizes of the table without the features: (max_length,) or (rows, columns)."""
        return self.max_length if isinstance(self.max_length, tuple) else (self.max_length,)

    def build(self, input_shape: tuple) -> None:
        if len(input_shape) != len(self.table_sizes) + 2:
            axes = "(batch, length, features)" if len(self.table_sizes) == 1 else "(batch, rows, columns, features)"
            rule = f"must have rank {len(self.table_sizes) + 2} for max_length={self.max_length}"
            raise check.refuse("inputs", rule, tuple(input_shape), f"Pass {axes}.")
        self.embeddings = self.add_weight(
            shape=(*self.table_sizes, input_shape[-1]),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            name="embeddings",
        )

    def call(self, inputs: Any, start_index: Any = 0, positions: Any = None, length: Any = None) -> Any:
        if len(self.table_sizes) == 2:
            if positions is not None or length is not None or not (is_number(start_index) and start_index == 0):
                raise ValueError(
                    f"start_index, positions and length are for sequences; received one of them with "
                    f"max_length={self.max_length}. Pass the whole grid."
                )
            rows = self._grid(inputs)
        else:
            rows = self._sequence(inputs, start_index, positions, length)
        wide = at_least_float32(inputs.dtype)
        return ops.cast(ops.cast(inputs, wide) + ops.cast(rows, wide), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple, **shapes) -> tuple:
        return tuple(input_shape)

    def resized(self, max_length: int | tuple[int, int]) -> "LearnedPositionEmbedding":
        """A new built layer of the same settings whose table is this one's, interpolated to another length.

        Args:
            max_length: as for the constructor, of the same kind as here.
        Raises:
            ValueError: if this layer is not built, has `interpolation=None`, or a table of the other kind.
        """
        layer = type(self).from_config({**self.get_config(), "max_length": max_length})
        if not self.built or len(layer.table_sizes) != len(self.table_sizes):
            advice = "Build the layer first." if not self.built else "Pass an integer or a pair, as this layer has it."
            raise check.refuse("max_length", "must be of a built layer's own kind to resize it", max_length, advice)
        layer.build((None, *(None,) * len(self.table_sizes), self.embeddings.shape[-1]))
        layer.embeddings.assign(self._fitted(ops.convert_to_numpy(self.embeddings), layer.table_sizes))
        return layer

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Load the table of a weight file, interpolated if it was saved at another length."""
        if self.built and "0" in list(store.keys()):
            table = np.asarray(store["0"], "float32")
            rank, wanted = len(self.table_sizes), tuple(self.embeddings.shape)
            if table.shape != wanted and table.ndim == len(wanted) and table.shape[rank:] == wanted[rank:]:
                self.embeddings.assign(self._fitted(table, self.table_sizes))
                return
        super().load_own_variables(store)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "interpolation": self.interpolation,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
            "embeddings_constraint": keras.constraints.serialize(self.embeddings_constraint),
        }

    def _fitted(self, table: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
        if self.interpolation is None and table.shape[: len(sizes)] != sizes:
            self._refuse_size("max_length", table.shape[: len(sizes)])
        return resize_table(table, sizes, self.interpolation or "linear")

    def _refuse_size(self, argument: str, received: Any) -> None:
        rule = f"must fit the table of max_length={self.max_length} when interpolation=None"
        raise check.refuse(argument, rule, received, 'Choose interpolation="linear" or a larger max_length.')

    def _sequence(self, inputs: Any, start_index: Any, positions: Any, length: Any) -> Any:
        """Rows for the positions of a sequence, (T, D) or (B, T, D)."""
        last = sequence_length(inputs, start_index, positions)
        length = sequence_length(inputs, start_index, positions, length)
        if is_number(last) and (self.interpolation is None or is_number(length)):
            longest = last if self.interpolation is None else max(last, length)
            if longest <= self.max_length:
                return self.embeddings[last - inputs.shape[1] : last]
            if self.interpolation is None:
                self._refuse_size("length", last)
        positions = token_positions(inputs, start_index, positions)
        if self.interpolation is None:
            return ops.take(self.embeddings, positions, axis=0)
        return rows_between(self.embeddings, stretched(positions, self.max_length, length), self.interpolation)

    def _grid(self, inputs: Any) -> Any:
        """Rows for the cells of a grid, (rows, columns, D)."""
        sizes = tuple(inputs.shape)[1:3]
        if sizes == self.table_sizes:
            return ops.convert_to_tensor(self.embeddings)
        if self.interpolation is None:
            if None not in sizes:
                self._refuse_size("grid", sizes)
            return ops.convert_to_tensor(self.embeddings)
        table = self.embeddings
        for axis in (0, 1):
            size = ops.shape(inputs)[axis + 1]
            cells = ops.cast(ops.arange(size, dtype="int32"), "float32")
            ratio = self.table_sizes[axis] / ops.cast(size, "float32")
            table = rows_between(ops.moveaxis(table, axis, 0), (cells + 0.5) * ratio - 0.5, self.interpolation)
            table = ops.moveaxis(table, 0, axis)
        return table
