"""Attention with linear biases."""

from typing import Any

import keras
from keras import ops

from keras_arch.core.registration import register
from keras_arch.layers.positional.position_bias import PositionBias, paired_positions
from keras_arch.ops.alibi import alibi_slopes
from keras_arch.ops.attention import lowest


@register
class ALiBiBias(PositionBias):
    """A penalty on attention scores that grows linearly with the distance between query and key.

    bias[n, t, s] = -slope[n] * |p[t] - q[s]|;  with `causal` the keys after the query are hidden.
    slope[n] = 2 ** (-8 (n + 1) / N) for N a power of two, see `keras_arch.ops.alibi`.
    n: head, N: heads, t: query, s: key, p: position of the query, q: of the key.

    It has no weights and no longest distance, and depends on differences of positions only. Distances are exact
    integers, the product is taken in float32 and rounded once; what would overflow float16 is its lowest number. Hand
    the layer to `MultiHeadAttention(position_bias=...)`, or its output to `attention_bias=` of a call.

    Args:
        num_heads: N, >= 1.
        causal: whether keys after the query get the value that hides a score, as a causal mask does.
        **kwargs: `name`, `dtype` of `keras.layers.Layer`.

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
        ValueError: if `num_heads` is below 1, or positions are not integers or of rank 1 or 2.

    Source: Press et al. 2021, arXiv:2108.12409, section 3; symmetric for encoders. The slopes of a number of heads that
        is no power of two are those of the authors' program.

    >>> bias = ka.layers.ALiBiBias(num_heads=2)(np.zeros((1, 3, 4)))
    >>> keras.ops.convert_to_numpy(bias)[0, 0].tolist()
    [[-0.0, -0.0625, -0.125], [-0.0625, -0.0, -0.0625], [-0.125, -0.0625, -0.0]]
    """

    depends_on_distance_only = True

    def __init__(self, num_heads: int, causal: bool = False, **kwargs) -> None:
        super().__init__(num_heads, **kwargs)
        self.causal = bool(causal)

    def build(self, query_shape: tuple | None = None, key_shape: tuple | None = None) -> None:
        self.built = True

    def between(self, query_positions: Any, key_positions: Any) -> Any:
        """Bias between positions, (N, T, S) or (B, N, T, S); see the class."""
        query, key = paired_positions(query_positions, key_positions)
        distance = ops.expand_dims(query - key, -3)  # (..., 1, T, S)
        slopes = ops.convert_to_tensor(alibi_slopes(self.num_heads).astype("float32")[:, None, None])  # (N, 1, 1)
        bias = -slopes * ops.cast(ops.abs(distance), "float32")
        dtype = keras.backend.standardize_dtype(self.compute_dtype)
        if dtype == "float16":
            bias = ops.maximum(bias, -65504.0)
        bias = ops.cast(bias, dtype)
        return ops.where(ops.less(distance, 0), ops.cast(lowest(dtype), dtype), bias) if self.causal else bias

    def get_config(self) -> dict:
        return {**super().get_config(), "causal": self.causal}
