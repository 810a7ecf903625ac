"""One block of a transformer decoder, with or without a memory to look at."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from keras_arch.core import check
from keras_arch.core.masking import mask_of, without_mask
from keras_arch.core.registration import register
from keras_arch.layers.transformer.transformer_block import (
    ATTENTION_OPTIONS,
    SELF_ATTENTION_ONLY,
    TransformerBlock,
    attend,
    built_by_a_call,
    checked_layer,
)


class DecoderCache(NamedTuple):
    """What a decoder block remembers between steps of decoding: the caches of its two attentions.

    Attributes:
        self_attention: cache of the steps so far.
        cross_attention: projected memory; an empty tuple in a block without memory.
    """

    self_attention: Any
    cross_attention: Any = ()


@register
class TransformerDecoderBlock(TransformerBlock):
    """Causal self-attention, attention to a memory if there is one, and a feed-forward network.

    For each branch f, in this order: self-attention, attention to the memory (cross-attention), feed-forward network:
    "pre":       x = x + f(norm(x)).
    "post":      x = norm(x + f(x)).
    "sandwich":  x = x + norm(f(norm(x))).
    "deepnorm":  x = norm(alpha x + f(x)); `keras_arch.ops.residual.deepnorm_constants` has alpha.
    parallel:    x = x + sum over f of f(y), y = norm(x).
    feed_forward(x) = activation(x W1 + b1) W2 + b2 for "mlp".
    x: (B, T, D), memory: (B, S, E).   B: batch, T: length, S: length of the memory, D, E: features.

    Without a memory at its first call it is the block of a language model of one stack (GPT); with one, that of an
    encoder-decoder model, and then every call wants a memory. With `cache` the call decodes: it takes the next step or
    steps, and what it returns equals that of one call on all steps. Keys and values of the memory are projected once,
    by `make_cache`.

    Masks hide padded steps of the inputs and of the memory; a padded query gets no attention. The mask of the inputs
    travels on.

    Args:
        num_heads: attention heads; must divide D unless `key_dim` is given. None if `attention` is given.
        intermediate_dim: features inside the feed-forward network. None if `feed_forward` is a layer.
        dropout: rate of the dropout at the end of each branch, in [0, 1).
        attention_dropout: rate at which attention weights are dropped, in [0, 1).
        activation: of the "mlp" network; anything `keras.activations.get` takes.
        norm_placement: "pre", "post", "sandwich" or "deepnorm".
        normalization: "layer" (`keras.layers.LayerNormalization`) or "rms" (`keras.layers.RMSNormalization`).
        epsilon: added to the variance in the normalizations.
        use_bias: whether projections and feed-forward layers have biases.
        kernel_initializer: of projections and feed-forward layers; "deepnorm" multiplies some of them by its beta.
        bias_initializer: likewise.
        seed: of everything that drops.
        feed_forward: "mlp"; "geglu", "swiglu" or "reglu" for a `keras_arch.layers.GatedFeedForward`; or any layer that
            maps (B, T, D) to (B, T, D).
        parallel: whether all branches start from one normalized input; needs "pre" or "sandwich".
        layer_scale: first value of a weight per feature that multiplies each branch; None for no such weight.
        stochastic_depth: rate at which a whole branch is dropped for a sample in training, in [0, 1).
        num_layers: for "deepnorm" only: blocks of a model without memory; (blocks of the encoder, blocks of the
            decoder) of one with.
        num_kv_heads: heads of key and value, a divisor of `num_heads`; None for `num_heads`.
        rotary_embedding: layer that turns queries and keys of the self-attention by their positions.
        position_bias: layer that adds a bias of the positions to the scores of the self-attention.
        qk_norm: normalization of queries and keys, see `keras_arch.layers.MultiHeadAttention`.
        logit_soft_cap: bound of the scores, likewise.
        sliding_window: how many steps back the self-attention sees, the step's own included, likewise.
        attention: layer called as `attention(x, x, ...)` in place of the default self-attention, which the arguments
            about attention describe. It is called with those of query_mask, value_mask, attention_mask, attention_bias,
            use_causal_mask, return_attention_scores, query_positions, key_positions and cache that are set. Each block
            wants a layer of its own.
        cross_attention: layer called as `cross_attention(x, memory, ...)`, likewise; needed with a memory if
            `attention` is given.
        key_dim: features of a head; None for D / `num_heads`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, T, D); T may be None. With `cache`, the next T steps.
        memory: float tensor, (B, S, E), such as the output of an encoder; not together with `cache`, which holds it.
        mask: bool (B, T), True for real steps; None takes the mask that travels with `inputs`.
        memory_mask: bool (B, S), likewise for `memory`.
        attention_mask: bool (T, T), (B, T, T) or (B, num_heads, T, T), True where self-attention is allowed.
        attention_bias: float tensor that broadcasts to (B, num_heads, T, T), added to the scores of self-attention.
        use_causal_mask: whether a step sees no later step.
        return_attention_scores: whether to return the scores: (B, num_heads, T, T) of self-attention, and with a memory
            (B, num_heads, T, S) of cross-attention.
        cache: from `make_cache`, or from the call before.
        positions: int (T,) or (B, T), the steps' positions where they are not 0, 1, ... or go on after the cache.
        training: whether dropout acts.

    Returns:
        (B, T, D); or the tuple of it, the scores of self-attention and those of cross-attention if asked for, and the
        new cache if one was passed.

    Raises:
        ValueError: if `num_heads` does not divide D, for an argument out of range, for arguments that describe a part
            for which a layer is given, or if the memory comes where it was not at the first call, or the other way.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3; "pre": Xiong et al. 2020, arXiv:2002.04745; "sandwich":
        Ding et al. 2021, arXiv:2105.13290; "deepnorm": Wang et al. 2022, arXiv:2203.00555; parallel: Chowdhery et al.
        2022, arXiv:2204.02311, section 2; layer scale: Touvron et al. 2021, arXiv:2103.17239.

    >>> block = ka.layers.TransformerDecoderBlock(num_heads=2, intermediate_dim=16)
    >>> x = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
    >>> tuple(block(x, memory=np.ones((1, 5, 4), "float32")).shape)
    (1, 3, 8)
    """

    stack = "decoder"

    def __init__(
        self,
        num_heads: int | None = None,
        intermediate_dim: int | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation: Any = "gelu",
        norm_placement: str = "pre",
        normalization: str = "layer",
        epsilon: float = 1e-5,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        seed: int | None = None,
        *,
        feed_forward: str | keras.layers.Layer = "mlp",
        parallel: bool = False,
        layer_scale: float | None = None,
        stochastic_depth: float = 0.0,
        num_layers: int | tuple[int, int] | None = None,
        num_kv_heads: int | None = None,
        rotary_embedding: keras.layers.Layer | None = None,
        position_bias: keras.layers.Layer | None = None,
        qk_norm: Any = None,
        logit_soft_cap: float | None = None,
        sliding_window: int | None = None,
        attention: keras.layers.Layer | None = None,
        cross_attention: keras.layers.Layer | None = None,
        key_dim: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(
            num_heads=num_heads,
            intermediate_dim=intermediate_dim,
            dropout=dropout,
            attention_dropout=attention_dropout,
            activation=activation,
            norm_placement=norm_placement,
            normalization=normalization,
            epsilon=epsilon,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            seed=seed,
            feed_forward=feed_forward,
            parallel=parallel,
            layer_scale=layer_scale,
            stochastic_depth=stochastic_depth,
            num_layers=num_layers,
            num_kv_heads=num_kv_heads,
            rotary_embedding=rotary_embedding,
            position_bias=position_bias,
            qk_norm=qk_norm,
            logit_soft_cap=logit_soft_cap,
            sliding_window=sliding_window,
            attention=attention,
            key_dim=key_dim,
            **kwargs,
        )
        self.has_given_cross_attention = cross_attention is not None
        if cross_attention is not None:
            self.cross_attention = checked_layer("cross_attention", cross_attention)

    def build(self, inputs_shape: tuple, memory_shape: tuple | None = None) -> None:
        self.has_memory = memory_shape is not None
        if self.has_given_cross_attention and not self.has_memory:
            raise check.refuse("memory", "must be passed where cross_attention is given", None, "Pass the memory.")
        self._open_build(inputs_shape, two_stacks=self.has_memory)
        self._build_branch("attention", inputs_shape, lambda: self._build_self_attention(inputs_shape))
        if self.has_memory:
            self._build_branch(
                "cross_attention", inputs_shape, lambda: self._build_cross_attention(inputs_shape, memory_shape)
            )
        self._build_branch("feed_forward", inputs_shape, lambda: self._build_feed_forward(inputs_shape))

    def _build_cross_attention(self, inputs_shape: tuple, memory_shape: tuple) -> None:
        if len(memory_shape) != 3:
            raise check.refuse("memory", "must have three axes", memory_shape, "Pass (batch, length, features).")
        if not self.has_given_cross_attention:
            if self.has_given_attention:
                advice = "Pass a layer for the memory too: the given attention says nothing of that one."
                raise check.refuse("cross_attention", "must be given where attention is", None, advice)
            options = tuple(name for name in ATTENTION_OPTIONS if name not in SELF_ATTENTION_ONLY)
            features = inputs_shape[-1]
            self.cross_attention = self._default_attention("cross_attention", features, options, self._seed(7))
            self.cross_attention.build(inputs_shape, memory_shape)
        else:
            built_by_a_call(self.cross_attention, inputs_shape, memory_shape)

    def make_cache(
        self,
        batch_size: int,
        max_length: int | None = None,
        window: int | None = None,
        memory: Any = None,
        memory_mask: Any = None,
    ) -> DecoderCache:
        """Return what the first call of decoding takes as its `cache`.

        Args:
            batch_size: B.
            max_length: for a cache of fixed size, which a compiled step needs: steps it has room for.
            window: for a cache of the latest steps: how many; `sliding_window` - 1 of them change nothing. With
                neither, the cache grows with every call.
            memory: (B, S, E), what the block looks at; its keys and values are projected here, once.
            memory_mask: bool (B, S), True for real steps; None takes the mask that travels with `memory`.
        Returns:
            DecoderCache: a named tuple of tensors, so a value for `keras.ops.while_loop`, `tf.function` and `jax.jit`.
        Raises:
            ValueError: before the block is built, or if the memory comes where it was not at the first call, or the
                other way.

        >>> block = ka.layers.TransformerDecoderBlock(num_heads=2, intermediate_dim=16)
        >>> x = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
        >>> full, cache = block(x), block.make_cache(batch_size=1)
        >>> first, cache = block(x[:, :2], cache=cache)
        >>> last, cache = block(x[:, 2:], cache=cache)
        >>> bool(np.allclose(last, full[:, 2:], atol=1e-5))
        True
        """
        if not self.built:
            raise check.refuse("cache", "needs a built block", None, "Call the block once, or build it.")
        self._check_memory(memory)
        sizes = {"max_length": max_length, "window": window}
        sizes = {name: size for name, size in sizes.items() if size is not None}
        steps = _method("attention", self.attention, "make_cache")(batch_size, **sizes)
        if memory is None:
            return DecoderCache(steps)
        memory_mask = mask_of(memory) if memory_mask is None else memory_mask
        given = {} if memory_mask is None else {"value_mask": memory_mask}
        memory = memory if memory_mask is None else without_mask(memory)
        cache_memory = _method("cross_attention", self.cross_attention, "cache_memory")
        return DecoderCache(steps, cache_memory(memory, **given))

    def call(
        self,
        inputs: Any,
        memory: Any = None,
        mask: Any = None,
        memory_mask: Any = None,
        attention_mask: Any = None,
        attention_bias: Any = None,
        use_causal_mask: bool = True,
        return_attention_scores: bool = False,
        cache: DecoderCache | None = None,
        positions: Any = None,
        training: bool | None = None,
    ) -> Any:
        if cache is None:
            self._check_memory(memory)
        elif memory is not None:
            advice = "Pass it to make_cache, once."
            raise check.refuse("memory", "is held by the cache", memory, advice)
        if mask is None and any(x is not None for x in (memory, attention_mask, attention_bias, cache, positions)):
            mask = mask_of(inputs)
        inputs = inputs if mask is None else without_mask(inputs)
        memory = memory if memory_mask is None else without_mask(memory)
        scores, caches = [], []

        def keep(output: Any, *extras: Any) -> Any:
            scores.extend(extras[:1] if return_attention_scores else ())
            caches.extend(extras[-1:] if cache is not None else ())
            return output

        def self_attention(x: Any) -> Any:
            outputs = attend(
                self.attention,
                x,
                x,
                query_mask=mask,
                value_mask=mask,
                attention_mask=attention_mask,
                attention_bias=attention_bias,
                use_causal_mask=use_causal_mask,
                return_attention_scores=return_attention_scores,
                query_positions=positions,
                key_positions=positions,
                cache=None if cache is None else cache.self_attention,
            )
            return keep(*outputs)

        def cross_attention(x: Any) -> Any:
            outputs = attend(
                self.cross_attention,
                x,
                *(() if memory is None else (memory,)),
                query_mask=mask,
                value_mask=memory_mask,
                return_attention_scores=return_attention_scores,
                cache=None if cache is None else cache.cross_attention,
            )
            return keep(*outputs)

        branches = {"attention": self_attention, "cross_attention": cross_attention, "feed_forward": self._feed}
        if not self.has_memory:
            del branches["cross_attention"]
        output = self._run_branches(inputs, branches, training)
        extras = scores if cache is None else [*scores, DecoderCache(*caches)]
        return (output, *extras) if extras else output

    def _check_memory(self, memory: Any) -> None:
        if (memory is not None) != self.has_memory:
            advice = "The first call builds the attention to a memory, or does without."
            rule = "must be passed in every call" if self.has_memory else "was not passed at the first call"
            raise check.refuse("memory", rule, memory, advice)

    def compute_output_spec(self, inputs: Any, *tensors: Any, **arguments: Any) -> Any:
        if arguments.get("return_attention_scores") or arguments.get("cache") is not None:
            return keras.Operation.compute_output_spec(self, inputs, *tensors, **arguments)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def compute_output_shape(self, inputs_shape: tuple, memory_shape: tuple | None = None) -> tuple:
        return tuple(inputs_shape)

    def get_config(self) -> dict:
        cross = keras.saving.serialize_keras_object(self.cross_attention) if self.has_given_cross_attention else None
        return {**super().get_config(), "cross_attention": cross}


def _method(argument: str, layer: keras.layers.Layer, name: str) -> Callable[..., Any]:
    """What a cache is made by; a given layer may lack it."""
    if not hasattr(layer, name):
        advice = "Use an attention layer of keras_arch, or one that has it."
        raise check.refuse(argument, f"must have {name} for cached decoding", layer, advice)
    return getattr(layer, name)
