"""A sequence brought to one vector, or a few, by learned queries."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.layers.attention.multi_head_attention import MultiHeadAttention


@register
class AttentionPooling(keras.layers.Layer):
    """Pool a sequence by attention from learned queries: a weighted mean whose weights depend on the content.

    output[b, m] = attention(queries[m], inputs[b]).   B: batch, T: length, D: features, M: learned queries, N: heads.

    Attention is `keras_arch.layers.MultiHeadAttention`, held as `attention`. Order does not matter to it: add positions
    before. The paper's pooling goes on with a residual feed-forward network; put `GatedFeedForward` or a block after
    this layer for that. The mask of the input is honoured and ends here; a sample without any step gets the bias of the
    output projection, zeros at first.

    Args:
        num_heads: N, attention heads.
        key_dim: features per head; None for D / N, which must then be whole.
        num_queries: M, >= 1.
        keepdims: whether the output has the axis M also for one query.
        dropout: rate at which attention weights are dropped in training, in [0, 1).
        use_bias: whether the projections have biases.
        query_initializer: of the learned queries. A constant would make all of them stay equal.
        kernel_initializer: of the projections.
        bias_initializer: of the projections.
        seed: of the dropout.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor, (B, T, D); T may be None.
        mask: bool (B, T), True for real steps; None takes the mask that travels with `inputs`.
        return_attention_scores: whether to return (output, scores), scores (B, N, M, T).
        training: whether weights are dropped.

    Returns:
        (B, D) for one query, (B, M, D) for more or with `keepdims`; with scores if asked for.

    Raises:
        ValueError: for an argument out of range, an input of another rank, or `num_heads` that does not divide D where
            `key_dim` is None.

    Source: Lee et al. 2019, arXiv:1810.00825, section 3.2 (pooling by multihead attention).

    >>> layer = ka.layers.AttentionPooling(num_heads=2)
    >>> output, scores = layer(np.ones((1, 4, 8), "float32"), return_attention_scores=True)
    >>> tuple(output.shape), keras.ops.convert_to_numpy(scores)[0, 0].tolist()
    ((1, 8), [[0.25, 0.25, 0.25, 0.25]])
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int | None = None,
        num_queries: int = 1,
        keepdims: bool = False,
        dropout: float = 0.0,
        use_bias: bool = True,
        query_initializer: Any = "glorot_uniform",
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        seed: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check.integer("num_heads", num_heads)
        self.key_dim = None if key_dim is None else check.integer("key_dim", key_dim)
        self.num_queries = check.integer("num_queries", num_queries)
        self.keepdims = bool(keepdims)
        self.dropout = check.real("dropout", dropout, minimum=0.0, maximum=1.0, open_maximum=True)
        self.use_bias = bool(use_bias)
        self.query_initializer = keras.initializers.get(query_initializer)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.seed = seed
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        if len(input_shape) != 3 or input_shape[-1] is None:
            advice = "Pass (batch, length, features); reshape an image to one axis of pixels."
            raise check.refuse("inputs", "must be sequences of known features", tuple(input_shape), advice)
        features = input_shape[-1]
        if self.key_dim is None and features % self.num_heads:
            advice = "Choose a divisor, or pass key_dim."
            rule = f"must divide the {features} features of the input where key_dim is None"
            raise check.refuse("num_heads", rule, self.num_heads, advice)
        self.queries = self.add_weight(
            name="queries", shape=(self.num_queries, features), initializer=self.query_initializer
        )
        self.attention = MultiHeadAttention(
            num_heads=self.num_heads,
            key_dim=self.key_dim or features // self.num_heads,
            dropout=self.dropout,
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.attention.build((input_shape[0], self.num_queries, features), tuple(input_shape))

    def call(
        self, inputs: Any, mask: Any = None, return_attention_scores: bool = False, training: bool | None = None
    ) -> Any:
        queries = ops.cast(self.queries, self.compute_dtype)
        queries = ops.broadcast_to(queries, (ops.shape(inputs)[0], *queries.shape))  # (B, M, D)
        output = self.attention(
            queries,
            inputs,
            value_mask=mask,
            return_attention_scores=return_attention_scores,
            training=training,
        )
        output, scores = output if return_attention_scores else (output, None)
        if self.num_queries == 1 and not self.keepdims:
            output = ops.squeeze(output, axis=1)  # (B, D)
        return (output, scores) if return_attention_scores else output

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        kept = () if self.num_queries == 1 and not self.keepdims else (self.num_queries,)
        return (input_shape[0], *kept, input_shape[-1])

    def compute_output_spec(
        self, inputs: Any, mask: Any = None, return_attention_scores: bool = False, training: bool | None = None
    ) -> Any:
        output = keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        scores = (inputs.shape[0], self.num_heads, self.num_queries, inputs.shape[1])
        return output, keras.KerasTensor(scores, dtype=self.compute_dtype)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "num_queries": self.num_queries,
            "keepdims": self.keepdims,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "query_initializer": keras.initializers.serialize(self.query_initializer),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "seed": self.seed,
        }
