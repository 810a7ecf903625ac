"""One block of a transformer encoder."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.masking import mask_of, without_mask
from keras_arch.core.registration import register
from keras_arch.layers.attention.multi_head_attention import MultiHeadAttention

NORMALIZATIONS = {"layer": keras.layers.LayerNormalization, "rms": keras.layers.RMSNormalization}


@register
class TransformerEncoderBlock(keras.layers.Layer):
    """Self-attention and a two-layer feed-forward network, each with a residual connection and a normalization.

    "pre":   x = x + drop(attention(norm(x)));  x = x + drop(feed_forward(norm(x)))
    "post":  x = norm(x + drop(attention(x)));  x = norm(x + drop(feed_forward(x)))
    feed_forward(x) = activation(x W1 + b1) W2 + b2.   x: (B, T, D).   B: batch, T: length, D: features.

    "post" is the paper's placement; "pre" trains without warm-up, and a stack of such blocks wants one normalization
    after its last. Attention is `keras_arch.layers.MultiHeadAttention`, held as `attention`.

    A mask, given or travelling with the input, hides padded steps both as keys and as queries (which then get no
    attention) and travels on.

    Args:
        num_heads: attention heads; must divide D.
        intermediate_dim: features inside the feed-forward network.
        dropout: rate of the dropout at the end of both branches, in [0, 1).
        attention_dropout: rate at which attention weights are dropped, in [0, 1).
        activation: of the feed-forward network; anything `keras.activations.get` takes.
        norm_placement: "pre" or "post".
        normalization: "layer" (`keras.layers.LayerNormalization`) or "rms" (`keras.layers.RMSNormalization`).
        epsilon: added to the variance in the normalizations.
        use_bias: whether projections and feed-forward layers have biases.
        kernel_initializer: of projections and feed-forward layers.
        bias_initializer: likewise.
        seed: of the dropouts.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, T, D); T may be None.
        mask: bool (B, T), True for real steps; None takes the mask that travels with `inputs`.
        attention_mask: bool (T, T), (B, T, T) or (B, num_heads, T, T), True where attention is allowed.
        attention_bias: float tensor that broadcasts to (B, num_heads, T, T), added to the scores.
        use_causal_mask: whether a step sees no later step.
        return_attention_scores: whether to return (output, scores), scores (B, num_heads, T, T).
        training: whether dropout acts.

    Returns:
        (B, T, D), with scores if asked for.

    Raises:
        ValueError: if `num_heads` does not divide D, or for an argument out of range.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3; "pre": Xiong et al. 2020, arXiv:2002.04745.

    >>> block = ka.layers.TransformerEncoderBlock(num_heads=2, intermediate_dim=16)
    >>> output, scores = block(np.ones((1, 3, 8), "float32"), return_attention_scores=True)
    >>> tuple(output.shape), tuple(scores.shape)
    ((1, 3, 8), (1, 2, 3, 3))
    """

    def __init__(
        self,
        num_heads: int,
        intermediate_dim: int,
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
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check.integer("num_heads", num_heads)
        self.intermediate_dim = check.integer("intermediate_dim", intermediate_dim)
        self.dropout = check.real("dropout", dropout, minimum=0, maximum=1, open_maximum=True)
        self.attention_dropout = check.real(
            "attention_dropout", attention_dropout, minimum=0, maximum=1, open_maximum=True
        )
        self.activation = keras.activations.get(activation)
        self.norm_placement = check.one_of("norm_placement", norm_placement, ("pre", "post"))
        self.normalization = check.one_of("normalization", normalization, NORMALIZATIONS)
        self.epsilon = check.real("epsilon", epsilon, minimum=0, maximum=1, open_minimum=True)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.seed = seed
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        if len(input_shape) != 3:
            advice = "Pass (batch, length, features)."
            raise check.refuse("inputs", "must have three axes", tuple(input_shape), advice)
        features = input_shape[-1]
        if features % self.num_heads:
            advice = f"The inputs have {features} features: choose a divisor of that."
            raise check.refuse("num_heads", "must divide the features", self.num_heads, advice)

        self.attention_norm = self._normalization("attention_norm", input_shape)
        self.attention = MultiHeadAttention(
            self.num_heads,
            features // self.num_heads,
            dropout=self.attention_dropout,
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.attention.build(input_shape, input_shape)
        self.attention_drop = self._dropout("attention_drop", 1)

        self.feed_forward_norm = self._normalization("feed_forward_norm", input_shape)
        self.intermediate_dense = self._dense("intermediate_dense", self.intermediate_dim, self.activation)
        self.intermediate_dense.build(input_shape)
        self.output_dense = self._dense("output_dense", features, None)
        self.output_dense.build((*input_shape[:-1], self.intermediate_dim))
        self.feed_forward_drop = self._dropout("feed_forward_drop", 2)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        attention_mask: Any = None,
        attention_bias: Any = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Any:
        if mask is None and (attention_mask is not None or attention_bias is not None):
            mask = mask_of(inputs)
        inputs = inputs if mask is None else without_mask(inputs)
        scores = None

        def attend(x: Any) -> Any:
            nonlocal scores
            output = self.attention(
                x,
                x,
                query_mask=mask,
                value_mask=mask,
                attention_mask=attention_mask,
                attention_bias=attention_bias,
                use_causal_mask=use_causal_mask,
                return_attention_scores=return_attention_scores,
                training=training,
            )
            output, scores = output if return_attention_scores else (output, None)
            return self.attention_drop(output, training=training)

        def feed_forward(x: Any) -> Any:
            x = self.output_dense(self.intermediate_dense(x))
            return self.feed_forward_drop(x, training=training)

        if self.norm_placement == "pre":
            x = inputs + attend(self.attention_norm(inputs))
            x = x + feed_forward(self.feed_forward_norm(x))
        else:
            x = self.attention_norm(inputs + attend(inputs))
            x = self.feed_forward_norm(x + feed_forward(x))
        return (x, scores) if return_attention_scores else x

    def compute_output_spec(
        self,
        inputs: Any,
        mask: Any = None,
        attention_mask: Any = None,
        attention_bias: Any = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Any:
        output = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        batch, length = inputs.shape[:2]
        return output, keras.KerasTensor((batch, self.num_heads, length, length), dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "activation": keras.activations.serialize(self.activation),
            "norm_placement": self.norm_placement,
            "normalization": self.normalization,
            "epsilon": self.epsilon,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "seed": self.seed,
        }

    def _normalization(self, name: str, shape: tuple) -> keras.layers.Layer:
        layer = NORMALIZATIONS[self.normalization](epsilon=self.epsilon, dtype=self.dtype_policy, name=name)
        layer.build(shape)
        return layer

    def _dense(self, name: str, units: int, activation: Any) -> keras.layers.Dense:
        return keras.layers.Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            kernel_initializer=_clone(self.kernel_initializer),
            bias_initializer=_clone(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )

    def _dropout(self, name: str, branch: int) -> keras.layers.Dropout:
        """Each dropout has a seed of its own, or equal shapes would drop the same places."""
        seed = None if self.seed is None else self.seed + branch
        return keras.layers.Dropout(self.dropout, seed=seed, dtype=self.dtype_policy, name=name)


def _clone(initializer: Any) -> Any:
    """A copy: one unseeded initializer object gives kernels of one shape the same values."""
    return initializer.clone() if isinstance(initializer, keras.initializers.Initializer) else initializer
