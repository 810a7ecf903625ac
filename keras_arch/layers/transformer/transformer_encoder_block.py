"""One block of a transformer encoder."""

from typing import Any

import keras

from keras_arch.core.masking import mask_of, without_mask
from keras_arch.core.registration import register
from keras_arch.layers.transformer.transformer_block import TransformerBlock, attend


@register
class TransformerEncoderBlock(TransformerBlock):
    """Self-attention and a feed-forward network, each with a residual connection and a normalization.

    For each branch f, first the attention, then the feed-forward network:
    "pre":       x = x + f(norm(x)).
    "post":      x = norm(x + f(x)).
    "sandwich":  x = x + norm(f(norm(x))).
    "deepnorm":  x = norm(alpha x + f(x)); `keras_arch.ops.residual.deepnorm_constants` has alpha.
    parallel:    x = x + attention(y) + feed_forward(y), y = norm(x).
    feed_forward(x) = activation(x W1 + b1) W2 + b2 for "mlp".   x: (B, T, D).   B: batch, T: length, D: features.

    "post" is the paper's placement; "pre" trains without warm-up, and a stack of such blocks wants one normalization
    after its last, as does a stack of sandwiches. What f computes then passes through dropout, layer scale and
    stochastic depth, where asked for.

    Attention is `keras_arch.layers.MultiHeadAttention`, held as `attention`, or the given layer.

    A mask, given or travelling with the input, hides padded steps both as keys and as queries (which then get no
    attention) and travels on.

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
        parallel: whether both branches start from one normalized input; needs "pre" or "sandwich".
        layer_scale: first value of a weight per feature that multiplies each branch; None for no such weight.
        stochastic_depth: rate at which a whole branch is dropped for a sample in training, in [0, 1).
        num_layers: for "deepnorm" only: blocks of the model; (blocks of the encoder, blocks of the decoder) if it has
            both.
        num_kv_heads: heads of key and value, a divisor of `num_heads`; None for `num_heads`.
        rotary_embedding: layer that turns queries and keys by their positions.
        position_bias: layer that adds a bias of the positions to the scores.
        qk_norm: normalization of queries and keys, see `keras_arch.layers.MultiHeadAttention`.
        logit_soft_cap: bound of the scores, likewise.
        sliding_window: how many steps before and after itself a step sees, its own included, likewise.
        attention: layer called as `attention(x, x, ...)` in place of the default one, which the arguments about
            attention describe. It is called with those of query_mask, value_mask, attention_mask, attention_bias,
            use_causal_mask, return_attention_scores, query_positions and key_positions that are set. Each block wants
            a layer of its own.
        key_dim: features of a head; None for D / `num_heads`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, T, D); T may be None.
        mask: bool (B, T), True for real steps; None takes the mask that travels with `inputs`.
        attention_mask: bool (T, T), (B, T, T) or (B, num_heads, T, T), True where attention is allowed.
        attention_bias: float tensor that broadcasts to (B, num_heads, T, T), added to the scores.
        use_causal_mask: whether a step sees no later step.
        return_attention_scores: whether to return (output, scores), scores (B, num_heads, T, T).
        training: whether dropout acts.
        positions: int (T,) or (B, T), the steps' positions where they are not 0, 1, ...

    Returns:
        (B, T, D), with scores if asked for.

    Raises:
        ValueError: if `num_heads` does not divide D, for an argument out of range, or for arguments that describe a
            part for which a layer is given.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3; "pre": Xiong et al. 2020, arXiv:2002.04745; "sandwich":
        Ding et al. 2021, arXiv:2105.13290; "deepnorm": Wang et al. 2022, arXiv:2203.00555; parallel: Chowdhery et al.
        2022, arXiv:2204.02311, section 2; layer scale: Touvron et al. 2021, arXiv:2103.17239.

    >>> block = ka.layers.TransformerEncoderBlock(num_heads=2, intermediate_dim=16)
    >>> output, scores = block(np.ones((1, 3, 8), "float32"), return_attention_scores=True)
    >>> tuple(output.shape), tuple(scores.shape)
    ((1, 3, 8), (1, 2, 3, 3))
    """

    def build(self, input_shape: tuple) -> None:
        self._open_build(input_shape, two_stacks=False)
        self._build_branch("attention", input_shape, lambda: self._build_self_attention(input_shape))
        self._build_branch("feed_forward", input_shape, lambda: self._build_feed_forward(input_shape))

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        attention_mask: Any = None,
        attention_bias: Any = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
        positions: Any = None,
    ) -> Any:
        if mask is None and any(x is not None for x in (attention_mask, attention_bias, positions)):
            mask = mask_of(inputs)
        inputs = inputs if mask is None else without_mask(inputs)
        extras = []

        def attention(x: Any) -> Any:
            output, *extras[:] = attend(
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
            )
            return output

        output = self._run_branches(inputs, {"attention": attention, "feed_forward": self._feed}, training)
        return (output, *extras) if return_attention_scores else output

    def compute_output_spec(
        self,
        inputs: Any,
        mask: Any = None,
        attention_mask: Any = None,
        attention_bias: Any = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
        positions: Any = None,
    ) -> Any:
        output = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        batch, length = inputs.shape[:2]
        scores = (batch, self.attention.num_heads, length, length)
        return output, keras.KerasTensor(scores, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)
