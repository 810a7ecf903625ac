"""Rotary position embedding as a layer."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.ops.positions import sequence_length, token_positions
from keras_arch.ops.precision import at_least_float32
from keras_arch.ops.rotary import rotate_heads
from keras_arch.ops.rotary_scaling import attention_factor, normalize_scaling, rotary_frequencies
from keras_arch.ops.sinusoid import sine_and_cosine, sinusoid_frequencies


@register
class RotaryEmbedding(keras.layers.Layer):
    """Turn the feature pairs of queries and keys by angles that grow with their positions.

    y[a] = x[a] cos(p f[i]) - x[b] sin(p f[i]),  y[b] = x[b] cos(p f[i]) + x[a] sin(p f[i]),
    f[i] = max_wavelength ** (-2 i / R), then scaled.
    p: position, i: feature pair, R: features that turn; the pair is a, b = i, i + R / 2, or interleaved 2 i, 2 i + 1.

    The product of a turned query and a turned key depends on their distance only. The layer has no weights. The phase
    is exact at any position (see `keras_arch.ops.sinusoid`) and the products are taken in float32: up to position
    2**24 bfloat16 and float16 outputs are the truth, rounded once, but for what 3e-7 of the pair's norm can change
    where the two terms cancel. Half-split is the layout of Llama, GPT-NeoX and Hugging Face; interleaved that of the
    paper and GPT-J. A mask passes through.

    `scaling` stretches the frequencies for sequences longer than those trained on. A mapping of plain data, in these
    names or those of a Hugging Face config's `rope_scaling`; formulas in `keras_arch.ops.rotary_scaling`:
        {"type": "linear", "factor": 4.0}: positions divided by the factor, >= 1;
        {"type": "ntk", "factor": 4.0}: a longer max_wavelength, the fastest pair unchanged;
        {"type": "dynamic", "factor": 4.0, "original_length": 2048}: the same, growing with the sequence from
            original_length on; depends on `length`;
        {"type": "yarn", "factor": 4.0, "original_length": 4096}: fast pairs unchanged, slow ones divided; and the
            output multiplied by 0.1 ln(factor) + 1. Also beta_fast (32), beta_slow (1), attention_factor, mscale,
            mscale_all_dim (None), truncate (True);
        {"type": "llama3", "factor": 8.0, "original_length": 8192, "low_freq_factor": 1.0, "high_freq_factor": 4.0}.

    Args:
        max_wavelength: the slowest pair takes nearly 2 pi times this many positions for a turn; >= 1. "rope_theta".
        rotary_dim: R, even: only the first R features of each head turn; None: all.
        interleaved: whether neighbouring features form a pair, in place of the two halves.
        scaling: None, or a mapping as above.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, shape (B, T, N, H), or (B, T, H) without heads.   B: batch, T: length, N: heads, H:
            features per head. B, T, N may be `None`.
        start_index: position of the first step, an integer or an integer scalar tensor.
        positions: integer tensor, shape (T,) or (B, T), in place of counting from `start_index`.
        length: of the whole sequence, an integer or an integer scalar tensor; only "dynamic" looks at it. None: the
            last position + 1. A cached step with the `length` of a full pass turns as that pass does. As a Python
            number (or None with fixed sizes) the frequencies are computed in float64; as a tensor too, except with JAX
            (there in float32, and position p turns by up to 3e-7 p radians too far).

    Returns:
        Tensor of the shape and the dtype of the (autocast) input.

    Raises:
        ValueError: for a bad `scaling`, an odd R or one above H, an input of another rank, both `start_index` and
            `positions`, or positions that are not integers or do not fit.

    Source: Su et al. 2021, arXiv:2104.09864. Positions count from 0.

    >>> layer = ka.layers.RotaryEmbedding()
    >>> keras.ops.convert_to_numpy(layer(np.ones((1, 2, 2)))).round(2).tolist()
    [[[1.0, 1.0], [-0.30000001192092896, 1.3799999952316284]]]
    """

    def __init__(
        self,
        max_wavelength: float = 10000.0,
        rotary_dim: int | None = None,
        interleaved: bool = False,
        scaling: Mapping[str, Any] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        sinusoid_frequencies(2, max_wavelength)
        self.max_wavelength = float(max_wavelength)
        self.rotary_dim = None if rotary_dim is None else check_rotary_size("rotary_dim", rotary_dim, 2)
        self.interleaved = bool(interleaved)
        self.scaling = normalize_scaling(scaling)
        rotary_frequencies(2, self.max_wavelength, self.scaling, length=1)
        self.supports_masking = True

    @property
    def depends_on_length(self) -> bool:
        """Whether the angles change with the length of the sequence, so that cached keys must be turned again."""
        return self.scaling is not None and self.scaling["type"] == "dynamic"

    def build(self, input_shape: tuple) -> None:
        rotary_size(input_shape, self.rotary_dim, 2)

    def call(self, inputs: Any, start_index: Any = 0, positions: Any = None, length: Any = None) -> Any:
        size = rotary_size(inputs.shape, self.rotary_dim, 2)
        if self.depends_on_length:
            length = sequence_length(inputs, start_index, positions, length)
        frequencies = rotary_frequencies(size, self.max_wavelength, self.scaling, length)
        positions = token_positions(inputs, start_index, positions)
        sine, cosine = sine_and_cosine(positions, frequencies, at_least_float32(inputs.dtype))
        growth = attention_factor(self.scaling)
        if growth != 1.0:
            sine, cosine = growth * sine, growth * cosine
        return rotate_heads(inputs, sine, cosine, self.interleaved)

    def compute_output_shape(self, input_shape: tuple, **shapes) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "max_wavelength": self.max_wavelength,
            "rotary_dim": self.rotary_dim,
            "interleaved": self.interleaved,
            "scaling": None if self.scaling is None else dict(self.scaling),
        }


def check_rotary_size(argument: str, size: Any, multiple: int) -> int:
    """Return the number of features that turn, or raise if it does not divide into pairs.

    >>> check_rotary_size("rotary_dim", 4, 2)
    4
    """
    size = check.integer(argument, size, minimum=multiple)
    if size % multiple:
        rule = (
            "must be even to pair features" if multiple == 2 else "must be a multiple of 4: pairs of rows and columns"
        )
        below = size - size % multiple
        raise check.refuse(argument, rule, size, f"Use {below} or {below + multiple}.")
    return size


def rotary_size(input_shape: tuple, rotary_dim: int | None, multiple: int) -> int:
    """How many features of an input turn, or raise for a shape that a rotary embedding can't take.

    >>> rotary_size((2, 5, 3, 8), None, 2)
    8
    """
    if len(input_shape) not in (3, 4):
        advice = "Pass (batch, length, heads, features) or (batch, length, features)."
        raise check.refuse("inputs", "must have rank 4 or 3", tuple(input_shape), advice)
    if rotary_dim is None:
        return check_rotary_size("features per head", input_shape[-1], multiple)
    if rotary_dim > input_shape[-1]:
        advice = f"Use rotary_dim={input_shape[-1]} or less."
        raise check.refuse("rotary_dim", f"must be <= the {input_shape[-1]} features per head", rotary_dim, advice)
    return rotary_dim
