"""Sinusoidal position encoding of images and other grids."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.positions import as_positions, is_number
from keras_arch.ops.precision import at_least_float32
from keras_arch.ops.sinusoid import sinusoid, sinusoid_frequencies


@register
class SinusoidalPositionEncoding2D(keras.layers.Layer):
    """Add sines and cosines of the row to the first half of the features, of the column to the second half.

    output[b, r, c] = input[b, r, c] + concatenate(encoding(r), encoding(c)),
    encoding(p)[2 i] = sin(p * max_wavelength ** (-4 i / D)), and the cosine at 2 i + 1.
    r: row, c: column, D: features, a multiple of 4, i: feature pair.

    It has no weights and no largest grid. Each encoding is exact at any position (see `keras_arch.ops.sinusoid`); the
    sum is taken in float32 or wider and rounded once. A mask passes through.

    Args:
        max_wavelength: the longest wavelength is nearly 2 pi times this many rows or columns; >= 1.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (B, h, w, D), h and w may be `None`.   B: batch, h: rows, w: columns.
        start_index: (row, column) of the first cell, two integers: where a tile of a larger image stands.
        positions: integer tensor, shape (h, w, 2) or (B, h, w, 2): row and column of each cell, in place of counting.

    Returns:
        Tensor of the shape and the dtype of the (autocast) input.

    Raises:
        ValueError: if D is not a multiple of 4, the input has not four axes, or `start_index` or `positions` do not
            fit.

    Source: Parmar et al. 2018, arXiv:1802.05751, section 3.1; Vaswani et al. 2017, arXiv:1706.03762. Both count from 0.

    >>> layer = ka.layers.SinusoidalPositionEncoding2D()
    >>> keras.ops.convert_to_numpy(layer(np.zeros((1, 1, 2, 4)))).round(2)[0, 0].tolist()
    [[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.8399999737739563, 0.5400000214576721]]
    """

    def __init__(self, max_wavelength: float = 10000.0, **kwargs) -> None:
        super().__init__(**kwargs)
        sinusoid_frequencies(2, max_wavelength)
        self.max_wavelength = float(max_wavelength)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        if len(input_shape) != 4:
            advice = "Pass (batch, rows, columns, features)."
            raise check.refuse("inputs", "must have rank 4", tuple(input_shape), advice)
        if input_shape[-1] % 4:
            rule = "must be a multiple of 4: sines and cosines of rows and of columns"
            advice = "Project the features to such a size."
            raise check.refuse("features", rule, input_shape[-1], advice)

    def call(self, inputs: Any, start_index: tuple[int, int] = (0, 0), positions: Any = None) -> Any:
        wide = at_least_float32(inputs.dtype)
        size = inputs.shape[-1] // 2
        if positions is None:
            first = _check_start(start_index)
            rows = ops.arange(ops.shape(inputs)[1], dtype="int32") + first[0]
            columns = ops.arange(ops.shape(inputs)[2], dtype="int32") + first[1]
        else:
            positions = self._check_positions(start_index, positions, tuple(inputs.shape))
            rows, columns = positions[..., 0], positions[..., 1]
        by_row = sinusoid(rows, size, self.max_wavelength, wide)  # (h, D / 2) or (..., h, w, D / 2)
        by_column = sinusoid(columns, size, self.max_wavelength, wide)
        if positions is None:
            by_row, by_column = ops.expand_dims(by_row, 1), ops.expand_dims(by_column, 0)  # (h, 1, .), (1, w, .)
        wide_inputs = ops.cast(inputs, wide)
        halves = [wide_inputs[..., :size] + by_row, wide_inputs[..., size:] + by_column]
        return ops.cast(ops.concatenate(halves, axis=-1), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple, **shapes) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "max_wavelength": self.max_wavelength}

    def _check_positions(self, start_index: Any, positions: Any, input_shape: tuple) -> Any:
        if tuple(start_index) != (0, 0):
            raise ValueError(
                f"start_index and positions exclude each other; received start_index={check.describe(start_index)} "
                "together with positions. Add the start to the positions."
            )
        positions = as_positions("positions", positions)
        shape = tuple(positions.shape)
        expected = (*input_shape[:3], 2)[-len(shape) :]
        fits = all(a == b or None in (a, b) or a == 1 for a, b in zip(shape, expected, strict=False))
        if len(shape) not in (3, 4) or shape[-1] != 2 or not fits:
            rule = f"must have the shape {(*input_shape[1:3], 2)} or {(*input_shape[:3], 2)}"
            raise check.refuse("positions", rule, shape, "Stack rows and columns on the last axis.")
        return positions


def _check_start(start_index: Any) -> tuple[int, int]:
    is_pair = isinstance(start_index, list | tuple) and len(start_index) == 2
    if not is_pair or not all(is_number(one) and int(one) == one for one in start_index):
        advice = "Pass positions for anything else."
        raise check.refuse("start_index", "must be a pair of integers (row, column)", start_index, advice)
    return int(start_index[0]), int(start_index[1])
