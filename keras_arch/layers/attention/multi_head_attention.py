"""Keras's multi-head attention with a bias, honest masks, and scores on every path."""

from typing import Any

import keras
from keras import ops

from keras_arch.core.masking import with_mask, without_mask
from keras_arch.core.registration import register
from keras_arch.ops.attention import (
    SEQUENCES,
    causal_mask,
    fused_attention,
    has_fused_attention,
    scaled_dot_product_attention,
    window_mask,
)
from keras_arch.ops.score_layout import ScoreLayout


@register
class MultiHeadAttention(keras.layers.MultiHeadAttention):
    """Multi-head attention: `keras.layers.MultiHeadAttention` and what it lacks.

    output = concat over heads of softmax(Q K^T / sqrt(H) + bias, over what the masks show) V, projected.
    Q, K, V: inputs projected to (B, T, N, H), (B, S, N, H), (B, S, N, V).
    B: batch, T: query length, S: key length, N: heads, H: `key_dim`, V: `value_dim`, D: features.

    Weights have Keras's names, shapes and order, so weight files, LoRA and `model.quantize` work across both classes;
    without the extras below both compute the same. The differences:

    * `attention_bias` is added to the scores.
    * `query_mask` given in the call is honoured and travels on with the output; the input keeps its own mask.
    * `use_causal_mask` and `sliding_window` align the last query with the last key (bottom right), which cached
      decoding with T < S needs. They are refused with more than one attention axis, where they have no meaning.
    * A query that sees no key gets zeros before the output projection and in its scores, on every path and gradient.
    * Scores can be had with every option, also with `flash_attention=True` (then computed densely).
    * Softmax runs in float32 at any precision, and dropout leaves the backend's fused kernel only while training.
    * `flash_attention` survives `get_config`; `False` really forbids it.

    Args:
        num_heads: N, attention heads.
        key_dim: H, features per head of query and key.
        value_dim: V, features per head of value; None for `key_dim`.
        dropout: rate at which weights are dropped in training, in [0, 1).
        use_bias: whether the projections have biases.
        output_shape: features of the output, an int or a tuple; None for the query's D.
        attention_axes: axes attended over, an int or a tuple; None for all between batch and features.
        sliding_window: None, or how many steps before and after itself a query sees, its own included.
        flash_attention: None lets the backend choose, True insists (JAX and PyTorch only), False forbids it.
        kernel_initializer: of all projections.
        bias_initializer: of all projections.
        kernel_regularizer: of all projections.
        bias_regularizer: of all projections.
        activity_regularizer: of all projections and the output.
        kernel_constraint: of all projections.
        bias_constraint: of all projections.
        use_gate: whether a sigmoid projection of the query multiplies each head's output (arXiv:2505.06708).
        seed: of the dropout.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        query: float tensor, (B, T, D), or with more axes before D.
        value: (B, S, D').
        key: (B, S, D''); None for `value`.
        query_mask: bool (B, T), True for real steps; None takes the mask that travels with `query`.
        value_mask: bool (B, S), likewise.
        key_mask: bool (B, S), likewise; used if `key` is given.
        attention_mask: bool (T, S), (B, T, S) or (B, N, T, S), True where attention is allowed.
        return_attention_scores: whether to return (output, scores), scores (B, N, T, S) before dropout.
        training: whether weights are dropped.
        use_causal_mask: whether a query sees no later key.
        attention_bias: float tensor, (T, S) or rank 4 and broadcastable to (B, N, T, S), added to the scaled scores;
            -32752 and below, so -1e9 and -inf, hides a key like a mask. It is cast to the compute dtype like any input.

    Returns:
        (B, T, D), or `output_shape` in place of D; with scores if asked for.

    Raises:
        ValueError: for a mask or bias that does not fit the scores, a causal mask or window over several axes, or
            `flash_attention=True` on a backend without it.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.

    >>> layer = ka.layers.MultiHeadAttention(num_heads=2, key_dim=4)
    >>> query, memory = np.ones((1, 2, 8), "float32"), np.ones((1, 5, 8), "float32")
    >>> output, scores = layer(query, memory, use_causal_mask=True, return_attention_scores=True)
    >>> (keras.ops.convert_to_numpy(scores)[0, 0] * 20).round().astype(int).tolist()
    [[5, 5, 5, 5, 0], [4, 4, 4, 4, 4]]
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | tuple[int, ...] | None = None,
        attention_axes: int | tuple[int, ...] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(
            num_heads=num_heads,
            key_dim=key_dim,
            value_dim=value_dim,
            dropout=dropout,
            use_bias=use_bias,
            output_shape=output_shape,
            attention_axes=attention_axes,
            sliding_window=sliding_window,
            flash_attention=flash_attention,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            use_gate=use_gate,
            seed=seed,
            **kwargs,
        )
        self.sliding_window = sliding_window
        self.flash_attention = flash_attention
        self.use_gate = use_gate

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
        attention_bias: Any = None,
    ) -> Any:
        key = value if key is None else key
        layout = self._layout(len(query.shape))
        scores_shape = layout.scores(tuple(query.shape), tuple(key.shape), self.num_heads)
        mask = _fit("attention_mask", attention_mask, scores_shape, layout)
        mask = _both(mask, None if query_mask is None else layout.query_mask(query_mask))
        mask = _both(mask, None if value_mask is None else layout.key_mask(value_mask))
        mask = _both(mask, None if key_mask is None else layout.key_mask(key_mask))
        if self.sliding_window is not None:
            lengths = _lengths("sliding_window", query, key, layout)
            mask = _both(mask, layout.attention_mask(window_mask(*lengths, self.sliding_window)))
        extras = {}
        if use_causal_mask and type(self)._compute_attention is MultiHeadAttention._compute_attention:
            extras["use_causal_mask"] = True
        elif use_causal_mask:  # an overridden hook may have Keras's older signature without the flag
            lengths = _lengths("use_causal_mask", query, key, layout)
            mask = _both(mask, layout.attention_mask(causal_mask(*lengths)))
        if attention_bias is not None:
            extras["attention_bias"] = _fit("attention_bias", attention_bias, scores_shape, layout)

        gate_projection, _ = keras_parts(self)
        # The projections would warn that they lose a mask; the caller's tensors keep theirs.
        query = query if query_mask is None else without_mask(query)
        value = value if value_mask is None else without_mask(value)
        key = key if key_mask is None and value_mask is None else without_mask(key)
        heads, scores = self._compute_attention(
            self.query_dense(query),  # (B, T, N, H)
            self.key_dense(key),  # (B, S, N, H)
            self.value_dense(value),  # (B, S, N, V)
            mask,
            training,
            return_attention_scores,
            **extras,
        )
        if self.use_gate:
            heads = heads * gate_projection(query)
        output = self.output_dense(heads)
        if query_mask is not None:
            output = with_mask(output, query_mask)
        return (output, scores) if return_attention_scores else output

    def _compute_attention(
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
        attention_bias: Any = None,
    ) -> tuple[Any, Any]:
        """Attend with projected heads: Keras's documented hook for an attention of one's own (seen in Keras 3.15).

        Args:
            query: (B, T, N, H).
            key: (B, S, N, H).
            value: (B, S, N, V).
            attention_mask: None, or bool tensor that broadcasts to the scores (B, N, T, S).
            training: whether weights are dropped.
            return_attention_scores: whether the scores are wanted.
            use_causal_mask: whether a query sees no later key.
            attention_bias: None, or float tensor that broadcasts to the scores.
        Returns:
            (output (B, T, N, V), scores (B, N, T, S) or None).
        """
        layout = self._layout(len(query.shape) - 1)
        mask = None if attention_mask is None else layout.attention_mask(ops.cast(attention_mask, "bool"))
        drops = bool(training) and self.dropout > 0
        fused = has_fused_attention() and layout == SEQUENCES and not drops and not return_attention_scores
        fused = fused and self.value_dim == self.key_dim  # JAX's kernel has one size for both
        flash = self.flash_attention
        if flash and not has_fused_attention():
            raise ValueError(
                "flash_attention=True needs the JAX or the PyTorch backend; received the backend "
                f"{keras.backend.backend()!r}. Use flash_attention=None."
            )
        kernel_is_causal = (
            use_causal_mask and fused and mask is None and attention_bias is None and query.shape[1] == key.shape[1]
        )
        if use_causal_mask and not kernel_is_causal:
            lengths = _lengths("use_causal_mask", query, key, layout)
            mask = _both(mask, layout.attention_mask(causal_mask(*lengths)))
        if fused:
            flash = keras.config.is_flash_attention_enabled() if flash is None else flash
            return fused_attention(query, key, value, mask, attention_bias, causal=kernel_is_causal, flash=flash), None
        _, dropout = keras_parts(self)
        return scaled_dot_product_attention(
            query,
            key,
            value,
            mask,
            attention_bias,
            layout=layout,
            drop=(lambda weights: dropout(weights, training=True)) if drops else None,
            return_weights=return_attention_scores,
        )

    def compute_output_spec(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
        attention_bias: Any = None,
    ) -> Any:
        key_shape = None if key is None else key.shape
        shape = self.compute_output_shape(query.shape, value.shape, key_shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        layout = self._layout(len(query.shape))
        scores = layout.scores(tuple(query.shape), tuple(value.shape), self.num_heads)
        return output, keras.KerasTensor(scores, dtype=self.compute_dtype)

    def get_config(self) -> dict:
        return {**super().get_config(), "flash_attention": self.flash_attention}

    def _layout(self, input_rank: int) -> ScoreLayout:
        axes = self.attention_axes
        axes = range(1, input_rank - 1) if axes is None else (axes,) if isinstance(axes, int) else axes
        return ScoreLayout(input_rank + 1, tuple(axes))


def keras_parts(layer: keras.layers.MultiHeadAttention) -> tuple[Any, Any]:
    """(gate projection or None, dropout layer) of a built attention layer: only private names in Keras 3.15."""
    return getattr(layer, "_gate_dense", None), layer._dropout_layer


def _lengths(argument: str, query: Any, key: Any, layout: ScoreLayout) -> tuple[Any, Any]:
    """Query and key length along the one attended axis."""
    if len(layout.axes) != 1:
        raise ValueError(
            f"{argument} needs one attention axis to have an order; received attention_axes={layout.axes}. "
            "Pass an attention_mask."
        )
    return ops.shape(query)[layout.axes[0]], ops.shape(key)[layout.axes[0]]


def _fit(argument: str, tensor: Any, scores: tuple, layout: ScoreLayout) -> Any:
    """Bring a mask or a bias to the rank of the scores, or say why it does not broadcast to them."""
    if tensor is None:
        return None
    tensor = ops.convert_to_tensor(tensor, dtype="bool" if argument == "attention_mask" else None)
    shape, attended = tuple(tensor.shape), 2 * len(layout.axes)
    ranks = range(attended, len(scores) + 1) if argument == "attention_mask" else (attended, len(scores))
    fits = len(shape) in ranks
    if fits:
        tensor = layout.attention_mask(tensor)
        fits = all(a in (1, None, b) or b is None for a, b in zip(tensor.shape, scores, strict=True))
    if not fits:
        allowed = " or ".join(map(str, sorted({attended, len(scores)})))
        raise ValueError(
            f"{argument} must broadcast to the scores' shape {scores} (batch, heads, queries, keys); received the "
            f"shape {shape}. Give it the rank {allowed}, with length 1 where it is the same for all."
        )
    return tensor


def _both(mask: Any, other: Any) -> Any:
    if mask is None or other is None:
        return other if mask is None else mask
    return ops.logical_and(mask, other)
