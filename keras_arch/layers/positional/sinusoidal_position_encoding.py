"""Sinusoidal position encoding as a layer."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.positions import token_positions
from keras_arch.ops.precision import at_least_float32
from keras_arch.ops.sinusoid import sinusoid, sinusoid_frequencies


@register
class SinusoidalPositionEncoding(keras.layers.Layer):
    """Add sines and cosines of the position to the features.

    output[b, t, 2 i] = input[b, t, 2 i] + sin(p[b, t] * max_wavelength ** (-2 i / D)), and the cosine at 2 i + 1.
    B: batch, T: length, D: even feature size, i: feature pair, p: position.

    It has no weights and no longest length. The phase is exact at any position (see `keras_arch.ops.sinusoid`): the sum
    is taken in float32 and rounded once, so bfloat16 and float16 outputs are within one unit in the last place up to
    position 2**24.
    The embedding is not scaled by sqrt(D) here; the paper does that in the embedding layer. A mask passes through.

    Args:
        max_wavelength: the longest wavelength is nearly 2 pi times this many positions; >= 1.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (B, T, D); more axes before T are allowed. T may be `None`.
        start_index: position of the first step, an integer or an integer scalar tensor: where a cached decoding stands.
        positions: integer tensor, shape (T,) or (B, T), in place of counting from `start_index`: for packed
            or left-padded sequences.

    Returns:
        Tensor of the shape and the dtype of the (autocast) input.

    Raises:
        ValueError: if D is odd, the input has fewer than two axes, both `start_index` and `positions` are given, they
            are not integers, or `positions` does not fit the input.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5. Positions count from 0.

    >>> layer = ka.layers.SinusoidalPositionEncoding()
    >>> keras.ops.convert_to_numpy(layer(np.zeros((1, 2, 4)))).round(2).tolist()
    [[[0.0, 1.0, 0.0, 1.0], [0.8399999737739563, 0.5400000214576721, 0.009999999776482582, 1.0]]]
    >>> whole, rest = layer(np.ones((1, 5, 4))), layer(np.ones((1, 2, 4)), start_index=3)
    >>> bool(keras.ops.all(keras.ops.isclose(whole[:, 3:], rest)))
    True
    """

    def __init__(self, max_wavelength: float = 10000.0, **kwargs) -> None:
        super().__init__(**kwargs)
        sinusoid_frequencies(2, max_wavelength)
        self.max_wavelength = float(max_wavelength)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        if len(input_shape) < 2:
            advice = "Pass (batch, length, features)."
            raise check.refuse("inputs", "must have a length axis and a feature axis", tuple(input_shape), advice)
        sinusoid_frequencies(input_shape[-1], self.max_wavelength)

    def call(self, inputs: Any, start_index: Any = 0, positions: Any = None) -> Any:
        positions = token_positions(inputs, start_index, positions, axis=-2)
        wide = at_least_float32(inputs.dtype)
        encoding = sinusoid(positions, inputs.shape[-1], self.max_wavelength, wide)
        return ops.cast(ops.cast(inputs, wide) + encoding, inputs.dtype)  # rounded once

    def compute_output_shape(self, input_shape: tuple, **shapes) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "max_wavelength": self.max_wavelength}
