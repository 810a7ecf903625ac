"""Multi-head attention whose cost grows linearly with the length."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.initializer import cloned
from keras_arch.core.masking import with_mask, without_mask
from keras_arch.core.registration import register
from keras_arch.ops.attention import all_shown, causal_mask
from keras_arch.ops.linear_attention import FEATURE_MAPS, linear_attention, linear_attention_weights, read_sums
from keras_arch.ops.precision import at_least_float32


class LinearAttentionCache(NamedTuple):
    """What `LinearAttention` remembers of the steps before, of one size however many they were.

    sums: (B, N, R, V + 1) float32, over all steps s so far: phi(k[s]) v[s]^T, and phi(k[s]) in the last column.
    """

    sums: Any


@register
class LinearAttention(keras.layers.Layer):
    """Multi-head attention with a product of features in place of the softmax, in time and memory linear in the length.

    head[t] = phi(q[t]) M[t] / phi(q[t]) z[t],  M[t] = sum of phi(k[s]) v[s]^T,  z[t] = sum of phi(k[s]), over the keys
    s that t sees; the heads are concatenated and projected.   q, k, v: inputs projected to (B, T, N, H), (B, S, N, H),
    (B, S, N, V).   B: batch, T: query length, S: key length, N: heads, H: `key_dim`, V: `value_dim`, D: features.

    The call, and the names, shapes and order of the weights, are those of `keras.layers.MultiHeadAttention`, so weights
    can be copied from it and any block takes one for the other. No mask over pairs, bias, rotation or dropout of the
    weights exists here: the weights of pairs are never formed.

    The causal form works in chunks of 128 steps, dense inside. The last query stands beside the last key, a query that
    sees no key gets zeros before the output projection, and all sums run in float32 at any precision. `query_mask`
    travels on with the output.

    Args:
        num_heads: N, attention heads.
        key_dim: H, features per head of query and key.
        value_dim: V, features per head of value; None for `key_dim`.
        feature_map: phi: "elu" (elu(x) + 1, the paper's), "relu" (max(x, 0) + 0.001), "softplus", or a registered
            function of a float32 tensor (..., H) that returns features >= 0, (..., R).
        use_bias: whether the projections have biases.
        kernel_initializer: of all projections.
        bias_initializer: of all projections.
        kernel_regularizer: of all projections.
        bias_regularizer: of all projections.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        query: float tensor, (B, T, D). T and S may be None.
        value: (B, S, D'); None only with the `cache` of a memory, which is then read and not added to.
        key: (B, S, D''); None for `value`.
        query_mask: bool (B, T), True for real steps; None takes the mask that travels with `query`.
        value_mask: bool (B, S), likewise.
        key_mask: bool (B, S), likewise; used if `key` is given.
        return_attention_scores: whether to return (output, scores), scores (B, N, T, S): computed apart, in T S memory.
        training: handed to the projections.
        use_causal_mask: whether a query sees no later key.
        cache: from `make_cache`, `cache_memory` or the call before: the steps before `value`, which every query sees.

    Returns:
        (B, T, D); (output, scores) if scores are asked for, (output, cache) if a cache is given.

    Raises:
        ValueError: for an argument out of range, an input that is not (batch, length, features), no `value` without a
            `cache`, a `key` without `value`, a cache of another layer, or scores together with a cache.

    Source: Katharopoulos et al. 2020, arXiv:2006.16236.

    >>> layer = ka.layers.LinearAttention(num_heads=2, key_dim=4)
    >>> x = np.random.default_rng(0).normal(size=(1, 5, 8)).astype("float32")
    >>> full, cache = layer(x, x, use_causal_mask=True), layer.make_cache(batch_size=1)
    >>> for t in range(5):
    ...     step, cache = layer(x[:, t : t + 1], x[:, t : t + 1], use_causal_mask=True, cache=cache)
    >>> bool(np.allclose(step, full[:, 4:], atol=1e-5)), tuple(cache.sums.shape)
    (True, (1, 2, 4, 5))
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        feature_map: str | Callable[[Any], Any] = "elu",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs,
    ) -> None:
        # The projections cast their own inputs; Keras would also cast the float32 sums of a cache.
        super().__init__(**kwargs, autocast=False)
        self.num_heads = check.integer("num_heads", num_heads)
        self.key_dim = check.integer("key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else check.integer("value_dim", value_dim)
        self.feature_map = (
            feature_map if callable(feature_map) else check.one_of("feature_map", feature_map, FEATURE_MAPS)
        )
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.supports_masking = True

    def build(self, query_shape: tuple, value_shape: tuple | None = None, key_shape: tuple | None = None) -> None:
        if value_shape is None:
            raise check.refuse("value", "is needed to build the layer", None, "Pass value=query for self-attention.")
        key_shape = value_shape if key_shape is None else key_shape
        for name, shape in (("query", query_shape), ("value", value_shape), ("key", key_shape)):
            if len(shape) != 3 or shape[-1] is None:
                raise check.refuse(
                    name, "must be sequences of known features", shape, "Pass (batch, length, features)."
                )
        inner = (*query_shape[:-1], self.num_heads, self.value_dim)
        self.query_dense = self._projection("query", self.key_dim, query_shape)
        self.key_dense = self._projection("key", self.key_dim, key_shape)
        self.value_dense = self._projection("value", self.value_dim, value_shape)
        self.output_dense = self._einsum("attention_output", "abcd,cde->abe", (None, query_shape[-1]), "e", inner)

    def call(
        self,
        query: Any,
        value: Any = None,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
        cache: LinearAttentionCache | None = None,
    ) -> Any:
        self._check_call(value, key, return_attention_scores, cache)
        plain = query if query_mask is None else without_mask(query)
        features = self._features(self.query_dense(plain, training=training))  # (B, T, N, R)
        scores, sums = None, None if cache is None else cache.sums
        if value is None:
            output = read_sums(features, sums)  # (B, T, N, V)
        else:
            keys, values, shown = self._memory(value, key, value_mask, key_mask, training)
            output, sums = linear_attention(features, keys, values, shown, causal=use_causal_mask, sums=sums)
            if return_attention_scores:
                seen = _seen(query, value, query_mask, shown, use_causal_mask)
                scores = ops.cast(linear_attention_weights(features, keys, seen), self.compute_dtype)
        output = ops.cast(output, self.compute_dtype)
        if query_mask is not None:
            output = ops.where(ops.cast(query_mask, "bool")[:, :, None, None], output, ops.zeros((), output.dtype))
        output = self.output_dense(output, training=training)
        if query_mask is not None:
            output = with_mask(output, query_mask)
        if cache is not None:
            return output, LinearAttentionCache(sums)
        return (output, scores) if return_attention_scores else output

    def make_cache(self, batch_size: int, max_length: int | None = None) -> LinearAttentionCache:
        """Return the cache before the first step: zeros.

        Args:
            batch_size: B, an int or an integer scalar tensor.
            max_length: accepted, so that code which decodes with `MultiHeadAttention` runs; the size depends on no
                length.

        >>> layer = ka.layers.LinearAttention(num_heads=2, key_dim=4, value_dim=3)
        >>> tuple(layer.make_cache(batch_size=5).sums.shape)
        (5, 2, 4, 4)
        """
        features = self._features(ops.zeros((1, 1, 1, self.key_dim), self.compute_dtype))
        shape = (batch_size, self.num_heads, features.shape[-1], self.value_dim + 1)
        return LinearAttentionCache(ops.zeros(shape, features.dtype))

    def cache_memory(self, value: Any, key: Any = None, value_mask: Any = None) -> LinearAttentionCache:
        """Return the cache of a fixed memory, for cross-attention by `attention(query, cache=cache)`.

        Args:
            value: (B, S, D').
            key: (B, S, D''); None for `value`.
            value_mask: bool (B, S), True for real steps.

        >>> layer, x = ka.layers.LinearAttention(num_heads=1, key_dim=2), np.ones((1, 3, 4), "float32")
        >>> output, cache = layer(x, x), layer.cache_memory(x)
        >>> bool(np.allclose(layer(x, cache=cache)[0], output, atol=1e-6))
        True
        """
        if not self.built:
            raise check.refuse("cache", "needs a built layer", None, "Call the layer once, or build it.")
        keys, values, shown = self._memory(ops.convert_to_tensor(value), key, value_mask, None, False)
        return LinearAttentionCache(linear_attention(keys[:, :1], keys, values, shown)[1])

    def compute_output_shape(self, query_shape: tuple, **shapes) -> tuple:
        return tuple(query_shape)

    def compute_output_spec(
        self,
        query: Any,
        value: Any = None,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
        cache: LinearAttentionCache | None = None,
    ) -> Any:
        self._check_call(value, key, return_attention_scores, cache)
        output = keras.KerasTensor(query.shape, dtype=self.compute_dtype)
        if cache is not None:
            return output, LinearAttentionCache(keras.KerasTensor(cache.sums.shape, dtype=cache.sums.dtype))
        if not return_attention_scores:
            return output
        scores = (query.shape[0], self.num_heads, query.shape[1], value.shape[1])
        return output, keras.KerasTensor(scores, dtype=self.compute_dtype)

    def get_config(self) -> dict:
        named = isinstance(self.feature_map, str)
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "feature_map": self.feature_map if named else keras.saving.serialize_keras_object(self.feature_map),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
        }

    @classmethod
    def from_config(cls, config: dict) -> "LinearAttention":
        if isinstance(config["feature_map"], dict):
            config = {**config, "feature_map": keras.saving.deserialize_keras_object(config["feature_map"])}
        return super().from_config(config)

    def _features(self, x: Any) -> Any:
        """phi, in float32: exp(x) of float16 is 0 below -17."""
        apply = FEATURE_MAPS[self.feature_map] if isinstance(self.feature_map, str) else self.feature_map
        return apply(ops.cast(x, at_least_float32(x.dtype)))

    def _memory(self, value: Any, key: Any, value_mask: Any, key_mask: Any, training: bool | None) -> tuple:
        """(features of the keys (B, S, N, R), values (B, S, N, V), mask (B, S) or None)."""
        key = value if key is None else key
        masks = [ops.cast(mask, "bool") for mask in (value_mask, key_mask) if mask is not None]
        if masks:
            value, key = without_mask(value), without_mask(key)
        keys = self._features(self.key_dense(key, training=training))
        return keys, self.value_dense(value, training=training), all_shown(masks)

    def _check_call(self, value: Any, key: Any, return_attention_scores: bool, cache: Any) -> None:
        if value is None and (cache is None or key is not None):
            advice = "Pass value=query for self-attention, or the cache of a memory alone."
            raise check.refuse("value", "may be left out only with a cache and without a key", None, advice)
        if cache is None:
            return
        if not isinstance(cache, LinearAttentionCache):
            advice = "Take it from make_cache or cache_memory of this layer."
            raise check.refuse("cache", "must be a LinearAttentionCache", cache, advice)
        if return_attention_scores:
            advice = "The cache holds sums over the keys, not the keys. Ask for scores without a cache."
            raise check.refuse("return_attention_scores", "excludes a cache", return_attention_scores, advice)
        shape = tuple(cache.sums.shape)
        if len(shape) != 4 or (shape[1], shape[3]) != (self.num_heads, self.value_dim + 1):
            rule = f"must hold sums of the shape (batch, {self.num_heads}, features, {self.value_dim + 1})"
            raise check.refuse("cache", rule, shape, "Take it from make_cache or cache_memory of this layer.")

    def _projection(self, name: str, size: int, shape: tuple) -> keras.layers.EinsumDense:
        return self._einsum(name, "abc,cde->abde", (None, self.num_heads, size), "de", shape)

    def _einsum(self, name: str, equation: str, output_shape: tuple, bias_axes: str, shape: tuple) -> Any:
        layer = keras.layers.EinsumDense(
            equation,
            output_shape=output_shape,
            bias_axes=bias_axes if self.use_bias else None,
            kernel_initializer=cloned(self.kernel_initializer),
            bias_initializer=cloned(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(shape)
        return layer


def _seen(query: Any, value: Any, query_mask: Any, shown: Any, causal: bool) -> Any:
    """What each query sees as a bool tensor that broadcasts to (B, N, T, S), or None."""
    masks = [] if shown is None else [shown[:, None, None, :]]
    masks += [] if query_mask is None else [ops.cast(query_mask, "bool")[:, None, :, None]]
    masks += [causal_mask(ops.shape(query)[1], ops.shape(value)[1])] if causal else []
    return all_shown(masks)
