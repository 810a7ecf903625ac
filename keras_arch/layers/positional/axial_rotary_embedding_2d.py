"""Rotary embedding of image patches by row and column."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.layers.positional.rotary_embedding import check_rotary_size, rotary_size
from keras_arch.ops.grids import check_grid, grid_positions
from keras_arch.ops.positions import is_number, token_positions
from keras_arch.ops.precision import at_least_float32
from keras_arch.ops.rotary import rotate_heads
from keras_arch.ops.sinusoid import sine_and_cosine, sinusoid_frequencies


@register
class AxialRotaryEmbedding2D(keras.layers.Layer):
    """Turn half of the feature pairs of image tokens by the row of their patch, half by its column.

    angle[i] = row * f[i],  angle[i + R / 4] = column * f[i],  f[i] = max_wavelength ** (-4 i / R),  i < R / 4;
    the pairs are turned as `RotaryEmbedding` turns them.   R: features that turn, a multiple of 4.

    Tokens stand row by row, after `num_prefix_tokens` class or register tokens that are not turned. No weights; as
    exact as `RotaryEmbedding`. A mask passes through.

    Args:
        grid_size: (rows, columns) of patches.
        max_wavelength: the slowest pair takes nearly 2 pi times this many patches for a turn; >= 1.
        rotary_dim: R: only the first R features of each head turn; None: all.
        interleaved: whether neighbouring features form a pair, in place of the two halves.
        num_prefix_tokens: tokens before the first patch, >= 0.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (B, T, N, H), or (B, T, H) without heads, T = num_prefix_tokens + rows * columns.
            B: batch, T: tokens, N: heads, H: features per head.
        start_index: index of the first token, where `inputs` is a part of the image; integer or integer scalar tensor.
        positions: integer tensor, shape (T,) or (B, T): token indices, prefix included, in place of counting.
        length: not looked at; every rotary embedding is called alike.

    Returns:
        Tensor of the shape and the dtype of the (autocast) input.

    Raises:
        ValueError: if R is not a multiple of 4 or above H, or the tokens are not those of the grid.

    Source: Heo et al. 2024, arXiv:2403.13298, section 3.2 (axial frequencies, max_wavelength 100); columns first there.

    >>> layer = ka.layers.AxialRotaryEmbedding2D(grid_size=(1, 2))
    >>> keras.ops.convert_to_numpy(layer(np.ones((1, 2, 4)))).round(2).tolist()
    [[[1.0, 1.0, 1.0, 1.0], [1.0, -0.30000001192092896, 1.0, 1.3799999952316284]]]
    """

    def __init__(
        self,
        grid_size: tuple[int, int],
        max_wavelength: float = 100.0,
        rotary_dim: int | None = None,
        interleaved: bool = False,
        num_prefix_tokens: int = 0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        sinusoid_frequencies(2, max_wavelength)
        self.grid_size = check_grid("grid_size", grid_size)
        self.max_wavelength = float(max_wavelength)
        self.rotary_dim = None if rotary_dim is None else check_rotary_size("rotary_dim", rotary_dim, 4)
        self.interleaved = bool(interleaved)
        self.num_prefix_tokens = check.integer("num_prefix_tokens", num_prefix_tokens, minimum=0)
        self.supports_masking = True

    @property
    def depends_on_length(self) -> bool:
        """False: the angles do not change with the number of tokens."""
        return False

    def build(self, input_shape: tuple) -> None:
        rotary_size(input_shape, self.rotary_dim, 4)

    def call(self, inputs: Any, start_index: Any = 0, positions: Any = None, length: Any = None) -> Any:
        size = rotary_size(inputs.shape, self.rotary_dim, 4)
        if positions is None and is_number(start_index):
            self._check_tokens(inputs.shape[1], start_index)
        tokens = token_positions(inputs, start_index, positions)
        row, column, is_prefix = grid_positions(tokens, self.grid_size, self.num_prefix_tokens)
        coordinates = ops.where(ops.expand_dims(is_prefix, -1), 0, ops.stack([row, column], axis=-1))  # (..., T, 2)
        frequencies = sinusoid_frequencies(size // 2, self.max_wavelength)
        wide = at_least_float32(inputs.dtype)
        sine, cosine = sine_and_cosine(coordinates, frequencies, wide)  # (..., T, 2, R / 4)
        shape = (*ops.shape(tokens), size // 2)
        sine, cosine = ops.reshape(sine, shape), ops.reshape(cosine, shape)  # (..., T, R / 2)
        return rotate_heads(inputs, sine, cosine, self.interleaved)

    def compute_output_shape(self, input_shape: tuple, **shapes) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "grid_size": self.grid_size,
            "max_wavelength": self.max_wavelength,
            "rotary_dim": self.rotary_dim,
            "interleaved": self.interleaved,
            "num_prefix_tokens": self.num_prefix_tokens,
        }

    def _check_tokens(self, tokens: int | None, start_index: int) -> None:
        """A whole image must fill the grid; a part of one must lie within."""
        whole = self.num_prefix_tokens + int(np.prod(self.grid_size))
        if tokens is None or tokens + start_index == whole or (start_index and tokens + start_index < whole):
            return
        advice = "Set grid_size to the patches of the image, or pass positions= for a part of it."
        rule = f"must have {whole} tokens for grid_size={self.grid_size} and num_prefix_tokens={self.num_prefix_tokens}"
        raise check.refuse("inputs", rule, tokens + start_index, advice)
