"""Keras's multi-head attention with what it lacks: encodings, grouped heads, caches, tiles and honest masks."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.masking import with_mask, without_mask
from keras_arch.core.registration import register
from keras_arch.layers.attention.attention_settings import AttentionSettings
from keras_arch.layers.attention.kv_cache import KVCache
from keras_arch.layers.attention.lookup import Lookup, look_up, look_up_cached, order_masks, turn
from keras_arch.layers.attention.projections import keras_parts
from keras_arch.layers.attention.score_arguments import fit
from keras_arch.ops.attention import SEQUENCES, all_shown, has_fused_attention, scaled_dot_product_attention
from keras_arch.ops.score_layout import ScoreLayout
from keras_arch.ops.sequence_attention import sequence_attention


@register
class MultiHeadAttention(AttentionSettings):
    """Multi-head attention: `keras.layers.MultiHeadAttention` and what it lacks.

    output = concat over heads of softmax(Q K^T / sqrt(H) + bias, over what the masks show) V, projected.
    Q, K, V: inputs projected to (B, T, N, H), (B, S, M, H), (B, S, M, V).
    B: batch, T: query length, S: key length, N: heads, M: key heads, H: `key_dim`, V: `value_dim`, D: features.

    Weights have Keras's names, shapes and order, so weight files, LoRA and `model.quantize` work across both classes;
    without the extras below both compute the same. The differences:

    * `attention_bias` is added to the scores; `rotary_embedding` turns queries and keys, and `position_bias` adds a
      bias by position; `num_kv_heads`, `qk_norm`, `logit_soft_cap` and `sinks` are those of recent language models.
    * `query_mask` given in the call is honoured and travels on with the output; the input keeps its own mask.
    * `use_causal_mask` and `sliding_window` align the last query with the last key (bottom right), which cached
      decoding with T < S needs. They are refused with more than one attention axis, where they have no meaning.
    * A query that sees no key gets zeros before the output projection and in its scores, on every path and gradient.
    * Scores can be had with every option, also with `flash_attention=True` (then computed densely).
    * Softmax runs in float32 at any precision, and dropout leaves the backend's fused kernel only while training;
      `flash_attention=True` excludes dropout, as in Keras.
    * Long sequences are attended to in tiles and windows in bands, so that memory does not grow with T S.
    * With `cache` it decodes step by step, and each step gives what a call on the whole sequence gives.
    * `flash_attention` survives `get_config`; `False` really forbids it.

    A position bias that several layers share is a layer of its own: pass what it returns as `attention_bias`.

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
        num_kv_heads: M, heads of keys and values, a divisor of N; None for N, 1 for multi-query attention. The weights
            are then those of `keras.layers.GroupQueryAttention`.
        rotary_embedding: None, or a layer that turns (B, T, N, H) by positions, such as
            `keras_arch.layers.RotaryEmbedding`.
        position_bias: None, or a layer with `between(query_positions, key_positions)`, such as
            `keras_arch.layers.ALiBiBias`; it belongs to this layer alone.
        qk_norm: None, "rms" or "layer": normalization of each head's query and key, before they are turned.
        logit_soft_cap: None, or c > 0: scores become c tanh(score / c) before bias and mask.
        sinks: whether each head has a learned score that takes part in the softmax and has no value.
        implementation: "auto", "dense" (all scores at once), "blockwise" (tiles) or "banded" (with a
            `sliding_window`); `keras_arch.ops.sequence_attention` says when "auto" takes which. All give the same.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        query: float tensor, (B, T, D), or with more axes before D.
        value: (B, S, D'); None to look at a cache as it is.
        key: (B, S, D''); None for `value`.
        query_mask: bool (B, T), True for real steps; None takes the mask that travels with `query`.
        value_mask: bool (B, S), likewise.
        key_mask: bool (B, S), likewise; used if `key` is given.
        attention_mask: bool (T, S), (B, T, S) or (B, N, T, S), True where attention is allowed.
        return_attention_scores: whether to return the scores too, (B, N, T, S) before dropout.
        training: whether weights are dropped.
        use_causal_mask: whether a query sees no later key.
        attention_bias: float tensor, (T, S) or rank 4 and broadcastable to (B, N, T, S), added to the scaled scores;
            -32752 and below, so -1e9 and -inf, hides a key like a mask. It is cast to the compute dtype like any input.
        query_positions: int (T,) or (B, T), for rotary embedding and position bias; None counts so that the last
            query stands beside the last key, and on from what a cache holds.
        key_positions: int (S,) or (B, S); None for `query_positions` where T = S, else from 0.
        cache: None, or a `KVCache` of `make_cache`: the T = S steps of this call join it, and the queries look at all
            of it. Without `value` the queries look at it as it is: one of `cache_memory`.

    Returns:
        (B, T, D), or `output_shape` in place of D; or the tuple of it, the scores if asked for, and the new cache if
        one was passed. With a cache, S in scores, masks and bias is the number of its slots.

    Raises:
        ValueError: for a mask or bias that does not fit the scores, a causal mask or window over several axes,
            `flash_attention=True` on a backend without it, heads that do not divide, or a full cache.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; grouped heads: Ainslie et al. 2023, arXiv:2305.13245;
        normalized queries and keys: Henry et al. 2020, arXiv:2010.04245; soft cap: Gemma team 2024, arXiv:2408.00118;
        learned sinks: Agarwal et al. 2025, arXiv:2508.10925, section 2.

    >>> layer = ka.layers.MultiHeadAttention(num_heads=2, key_dim=4)
    >>> query, memory = np.ones((1, 2, 8), "float32"), np.ones((1, 5, 8), "float32")
    >>> output, scores = layer(query, memory, use_causal_mask=True, return_attention_scores=True)
    >>> (keras.ops.convert_to_numpy(scores)[0, 0] * 20).round().astype(int).tolist()
    [[5, 5, 5, 5, 0], [4, 4, 4, 4, 4]]
    >>> step, cache = layer(query, query, use_causal_mask=True, cache=layer.make_cache(batch_size=1))
    >>> cache
    KVCache(growing, 2 steps, key (1, 2, 2, 4), value (1, 2, 2, 4), float32)
    """

    def call(
        self,
        query: Any,
        value: Any = None,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
        attention_bias: Any = None,
        query_positions: Any = None,
        key_positions: Any = None,
        cache: KVCache | None = None,
    ) -> Any:
        layout = self._layout(len(query.shape))
        self._check_call(layout, value, cache, use_causal_mask, attention_mask, attention_bias)
        gate_projection, _ = keras_parts(self)
        # The projections would warn that they lose a mask; the caller's tensors keep theirs.
        query = query if query_mask is None else without_mask(query)
        heads = self._normalized(self.query_dense(query), "query_norm")  # (B, T, N, H)
        keys, values = (None, None) if value is None else self._project(value, key, value_mask, key_mask)
        options = {
            "rotary": self.rotary_embedding,
            "query_positions": query_positions,
            "key_positions": key_positions,
            "causal": use_causal_mask,
            "window": self.sliding_window,
        }
        if cache is None:
            masks = tuple(layout.key_mask(mask) for mask in (value_mask, key_mask) if mask is not None)
            seen = look_up(heads, keys, values, masks, **options)
        else:
            seen = look_up_cached(heads, keys, values, all_shown([value_mask, key_mask]), cache, **options)
        scores_shape = layout.scores(tuple(query.shape), (*seen.key.shape[:-2], None), self.num_heads)
        masks = seen.masks
        if attention_mask is not None:
            masks = (*masks, fit("attention_mask", attention_mask, scores_shape, layout))
        bias = fit("attention_bias", attention_bias, scores_shape, layout)
        rows = None if query_mask is None else layout.query_mask(query_mask)

        if type(self)._compute_attention is MultiHeadAttention._compute_attention:
            output, scores = self._attend(seen, masks, rows, bias, layout, training, return_attention_scores)
        else:  # an overridden hook gets all masks in one, as Keras's own does
            mask = self._one_mask(seen, masks, rows, layout)
            extras = {} if bias is None else {"attention_bias": bias}
            output, scores = self._compute_attention(
                seen.query, seen.key, seen.value, mask, training, return_attention_scores, **extras
            )
        if self.use_gate:
            output = output * gate_projection(query)
        output = self.output_dense(output)
        if query_mask is not None:
            output = with_mask(output, query_mask)
        extras = [scores] if return_attention_scores else []
        extras += [] if cache is None else [seen.carried]
        return (output, *extras) if extras else output

    def cache_memory(self, value: Any, key: Any = None, value_mask: Any = None, key_mask: Any = None) -> KVCache:
        """Project a memory once, to look at it in many calls: `layer(query, cache=layer.cache_memory(memory))`.

        Args:
            value: (B, S, D').
            key: (B, S, D''); None for `value`.
            value_mask: bool (B, S), True for real steps.
            key_mask: bool (B, S), likewise.
        Returns:
            A cache to pass without `value`.
        Raises:
            ValueError: before the layer is built.
        """
        if not self.built:
            raise check.refuse("value", "can be projected by a built layer only", value, "Call the layer once before.")
        value = ops.convert_to_tensor(value, dtype=self.compute_dtype)
        if value.shape[0] is None:
            raise check.refuse("value", "must have a known batch size", tuple(value.shape), "Fix the batch size.")
        key = key if key is None else ops.convert_to_tensor(key, dtype=self.compute_dtype)
        key, value = self._project(value, key, value_mask, key_mask)
        rotary = self.rotary_embedding
        if rotary is not None and not getattr(rotary, "depends_on_length", False):
            key = turn(rotary, key, None, 0, None)
        return self.make_cache(key.shape[0]).extended(key, value, mask=all_shown([value_mask, key_mask]))[1]

    def _project(self, value: Any, key: Any, value_mask: Any, key_mask: Any) -> tuple[Any, Any]:
        """Keys (B, S, M, H) and values (B, S, M, V)."""
        keys = value if key is None else key
        keys = keys if key_mask is None and value_mask is None else without_mask(keys)
        value = value if value_mask is None else without_mask(value)
        return self._normalized(self.key_dense(keys), "key_norm"), self.value_dense(value)

    def _normalized(self, heads: Any, name: str) -> Any:
        return heads if self.qk_norm is None else getattr(self, name)(heads)

    def _attend(
        self,
        seen: Lookup,
        masks: tuple,
        rows: Any,
        bias: Any,
        layout: ScoreLayout,
        training: bool | None,
        return_attention_scores: bool,
    ) -> tuple[Any, Any]:
        """Attend with projected heads: (output (B, T, N, V), scores or None)."""
        if self.flash_attention and not has_fused_attention():
            raise ValueError(
                "flash_attention=True needs the JAX or the PyTorch backend; received the backend "
                f"{keras.backend.backend()!r}. Use flash_attention=None."
            )
        _, dropout = keras_parts(self)
        dropout = dropout if training and self.dropout > 0 else None
        extras = {
            "scale": self.key_dim**-0.5,
            "soft_cap": self.logit_soft_cap,
            "sinks": ops.convert_to_tensor(self.sink_scores) if self.sinks else None,
        }
        if layout != SEQUENCES:
            mask = self._one_mask(seen, masks, rows, layout)
            drop = None if dropout is None else lambda weights: dropout(weights, training=True)
            extras |= {"layout": layout, "drop": drop, "return_weights": return_attention_scores}
            return scaled_dot_product_attention(seen.query, seen.key, seen.value, mask, bias, **extras)
        banded = self.implementation == "banded"
        output, scores = sequence_attention(
            seen.query,
            seen.key,
            seen.value,
            masks,
            bias,
            implementation="dense" if banded and seen.window is None else self.implementation,  # slots have no order
            position_bias=self.position_bias,
            query_positions=seen.query_positions,
            key_positions=seen.key_positions,
            causal=seen.causal,
            window=seen.window,
            dropout=dropout,
            flash=self.flash_attention,
            return_weights=return_attention_scores,
            **extras,
        )
        if rows is not None:  # (B, 1, T, 1): a hidden query gets zeros
            output = ops.where(ops.swapaxes(rows, 1, 2), output, ops.zeros((), output.dtype))
            scores = scores if scores is None else ops.where(rows, scores, ops.zeros((), scores.dtype))
        return output, scores

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
            key: (B, S, M, H).
            value: (B, S, M, V).
            attention_mask: None, or bool tensor that broadcasts to the scores (B, N, T, S).
            training: whether weights are dropped.
            return_attention_scores: whether the scores are wanted.
            use_causal_mask: whether a query sees no later key.
            attention_bias: None, or float tensor that broadcasts to the scores.
        Returns:
            (output (B, T, N, V), scores (B, N, T, S) or None).
        """
        layout = self._layout(len(query.shape) - 1)
        masks = () if attention_mask is None else (layout.attention_mask(ops.cast(attention_mask, "bool")),)
        seen = Lookup(query, key, value, causal=use_causal_mask)
        return self._attend(seen, masks, None, attention_bias, layout, training, return_attention_scores)

    def _one_mask(self, seen: Lookup, masks: tuple, rows: Any, layout: ScoreLayout) -> Any:
        """All masks in one that broadcasts to the scores, or None."""
        axis = layout.axes[0]
        for mask in order_masks(seen.query, seen.key, (axis, axis), seen.causal, seen.window):
            masks = (*masks, layout.attention_mask(mask))
        return all_shown([rows, *masks])

    def _check_call(
        self, layout: ScoreLayout, value: Any, cache: Any, causal: bool, attention_mask: Any, attention_bias: Any
    ) -> None:
        if len(layout.axes) != 1:
            for name, ordered in (("use_causal_mask", causal), ("sliding_window", self.sliding_window is not None)):
                if ordered:
                    raise ValueError(
                        f"{name} needs one attention axis to have an order; received attention_axes={layout.axes}. "
                        "Pass an attention_mask."
                    )
        if cache is None:
            if value is None:
                raise check.refuse("value", "must be given without a cache", None, "Pass what the query attends to.")
            return
        if not isinstance(cache, KVCache):
            advice = "Pass what make_cache, cache_memory or the last call returned."
            raise check.refuse("cache", "must be a KVCache", cache, advice)
        if layout != SEQUENCES:
            raise check.refuse("cache", "needs inputs of three axes", cache, "Reshape the inputs to sequences.")
        for name, given in (("attention_mask", attention_mask), ("attention_bias", attention_bias)):
            if given is not None and cache.kind == "sliding":
                advice = "Use query_mask and value_mask, or a static cache."
                raise check.refuse(name, "has no meaning for a sliding cache, whose slots move", given, advice)

    def compute_output_spec(self, query: Any, value: Any = None, key: Any = None, *masks: Any, **arguments: Any) -> Any:
        if arguments.get("cache") is not None:
            return keras.Operation.compute_output_spec(self, query, value, key, *masks, **arguments)
        return_scores = arguments.get("return_attention_scores", masks[4] if len(masks) > 4 else False)
        shape = self.compute_output_shape(query.shape, value.shape, None if key is None else key.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_scores:
            return output
        layout = self._layout(len(query.shape))
        scores = layout.scores(tuple(query.shape), tuple(value.shape), self.num_heads)
        return output, keras.KerasTensor(scores, dtype=self.compute_dtype)
