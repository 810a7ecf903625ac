"""What an attention layer is made of: its arguments, its weights and its caches."""

import weakref
from typing import Any

import keras

from keras_arch.core import check
from keras_arch.core.inner_channels import InnerChannels, heads_of
from keras_arch.layers.attention.kv_cache import KVCache
from keras_arch.layers.attention.projections import build_grouped
from keras_arch.ops.score_layout import ScoreLayout
from keras_arch.ops.sequence_attention import IMPLEMENTATIONS

HEAD_NORMS = {"layer": keras.layers.LayerNormalization, "rms": keras.layers.RMSNormalization}


class AttentionSettings(keras.layers.MultiHeadAttention):
    """Arguments and weights of `keras_arch.layers.MultiHeadAttention`, which says what they mean.

    >>> issubclass(ka.layers.MultiHeadAttention, AttentionSettings)
    True
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
        *,
        num_kv_heads: int | None = None,
        rotary_embedding: keras.layers.Layer | None = None,
        position_bias: keras.layers.Layer | None = None,
        qk_norm: str | None = None,
        logit_soft_cap: float | None = None,
        sinks: bool = False,
        implementation: str = "auto",
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
            sliding_window=None if sliding_window is None else check.integer("sliding_window", sliding_window),
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
            # The projections cast their inputs; a cache keeps the type it was made with.
            **{"autocast": False, **kwargs},
        )
        self.sliding_window = sliding_window
        self.flash_attention = flash_attention
        self.use_gate = use_gate
        self.num_kv_heads = num_heads if num_kv_heads is None else check.integer("num_kv_heads", num_kv_heads)
        if num_heads % self.num_kv_heads:
            advice = f"There are {num_heads} heads: choose a divisor of that."
            raise check.refuse("num_kv_heads", "must divide num_heads", num_kv_heads, advice)
        self.rotary_embedding = _layer("rotary_embedding", rotary_embedding, "call")
        self.position_bias = _layer("position_bias", position_bias, "between")
        self.qk_norm = qk_norm if qk_norm is None else check.one_of("qk_norm", qk_norm, HEAD_NORMS)
        self.logit_soft_cap = logit_soft_cap
        if logit_soft_cap is not None:
            infinity = float("inf")
            self.logit_soft_cap = check.real(
                "logit_soft_cap", logit_soft_cap, minimum=0, maximum=infinity, open_minimum=True, open_maximum=True
            )
        self.sinks = bool(sinks)
        self.implementation = check.one_of("implementation", implementation, IMPLEMENTATIONS)

    def build(self, query_shape: tuple, value_shape: tuple | None = None, key_shape: tuple | None = None) -> None:
        if value_shape is None:
            raise check.refuse("value", "must be given in the first call", None, "Pass what the query attends to.")
        if self.implementation == "banded" and self.sliding_window is None:
            advice = "Give a sliding_window, or leave the implementation out."
            rule = 'can be "banded" with a sliding_window only'
            raise check.refuse("implementation", rule, self.implementation, advice)
        self._check_rank(query_shape, value_shape)
        key_shape = value_shape if key_shape is None else key_shape
        if self.num_kv_heads == self.num_heads:
            super().build(query_shape, value_shape, key_shape)
        else:
            build_grouped(self, query_shape, value_shape, key_shape)
        for name, heads in (("query_norm", self.num_heads), ("key_norm", self.num_kv_heads)):
            if self.qk_norm is not None:
                norm = HEAD_NORMS[self.qk_norm](dtype=self.dtype_policy, name=name)
                norm.build((None, None, heads, self.key_dim))
                setattr(self, name, norm)
        if self.sinks:
            self.sink_scores = self.add_weight(shape=(self.num_heads,), initializer="zeros", name="sinks")
        self._build_encodings()

    def make_cache(
        self, batch_size: int, max_length: int | None = None, window: int | None = None, dtype: str | None = None
    ) -> KVCache:
        """Return an empty cache for decoding with this layer; it need not be built.

        Args:
            batch_size: B.
            max_length: for a cache of fixed size, which a compiled step needs: steps it has room for.
            window: for a cache of the latest steps: how many. `sliding_window` - 1 of them change nothing. With
                neither, the cache grows with every call.
            dtype: of keys and values; None for the layer's compute dtype.
        Raises:
            ValueError: if both sizes are given, or one is below 1.
        """
        if max_length is not None and window is not None:
            advice = "Give one: the cache either ends or slides."
            raise check.refuse("window", "excludes max_length", window, advice)
        sizes = (batch_size, self.num_kv_heads, self.key_dim, self.value_dim, dtype or self.compute_dtype)
        if max_length is not None:
            return KVCache.static(*sizes, max_length=max_length)
        return KVCache.growing(*sizes) if window is None else KVCache.sliding(*sizes, window=window)

    def inner_channels(self) -> list[InnerChannels]:
        """The heads of keys and values with those of queries that share them, for pruning.

        None where the positions' bias has something for each head.
        """
        if self.position_bias is not None:
            return []
        more = [(self.sink_scores, 0)] if self.sinks else []
        if self.num_kv_heads == self.num_heads:
            return heads_of(self, "num_heads", more=more)
        return heads_of(self, "num_kv_heads", {"num_heads": self.num_heads // self.num_kv_heads}, more)

    def _build_encodings(self) -> None:
        if self.rotary_embedding is not None and not self.rotary_embedding.built:
            self.rotary_embedding.build((None, None, self.num_heads, self.key_dim))
        if self.position_bias is None:
            return
        owner = getattr(self.position_bias, "attended_by", lambda: None)()
        if owner not in (None, self):
            raise ValueError(
                "position_bias must belong to one attention layer, or a saved model could not be loaded; received the "
                f"layer {self.position_bias.name!r}, which belongs to {owner.name!r}. To share it, call it once and "
                "pass what it returns as attention_bias."
            )
        self.position_bias.attended_by = weakref.ref(self)
        heads = getattr(self.position_bias, "num_heads", self.num_heads)
        if heads != self.num_heads:
            advice = f"Make it with num_heads={self.num_heads}."
            raise check.refuse("position_bias", "must have the heads of the attention", heads, advice)
        if not self.position_bias.built:
            self.position_bias.build()

    def _check_rank(self, query_shape: tuple, value_shape: tuple) -> None:
        """Refuse what needs sequences where there are more axes."""
        if len(query_shape) == len(value_shape) == 3:
            return
        given = {
            "num_kv_heads": self.num_kv_heads if self.num_kv_heads != self.num_heads else None,
            "rotary_embedding": self.rotary_embedding,
            "position_bias": self.position_bias,
            "implementation": self.implementation if self.implementation not in ("auto", "dense") else None,
        }
        for name, argument in given.items():
            if argument is not None:
                advice = f"The query has the shape {tuple(query_shape)}: reshape it, or leave {name} out."
                raise check.refuse(name, "needs inputs of three axes", argument, advice)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "flash_attention": self.flash_attention,
            "num_kv_heads": self.num_kv_heads if self.num_kv_heads != self.num_heads else None,
            "rotary_embedding": keras.saving.serialize_keras_object(self.rotary_embedding),
            "position_bias": keras.saving.serialize_keras_object(self.position_bias),
            "qk_norm": self.qk_norm,
            "logit_soft_cap": self.logit_soft_cap,
            "sinks": self.sinks,
            "implementation": self.implementation,
        }

    @classmethod
    def from_config(cls, config: dict) -> "AttentionSettings":
        config = dict(config)
        for name in ("rotary_embedding", "position_bias"):
            config[name] = keras.saving.deserialize_keras_object(config.get(name))
        return super().from_config(config)

    def _layout(self, input_rank: int) -> ScoreLayout:
        axes = self.attention_axes
        axes = range(1, input_rank - 1) if axes is None else (axes,) if isinstance(axes, int) else axes
        return ScoreLayout(input_rank + 1, tuple(axes))


def _layer(argument: str, layer: Any, method: str) -> Any:
    if layer is None or (isinstance(layer, keras.layers.Layer) and hasattr(layer, method)):
        return layer
    advice = "Pass a layer of keras_arch.layers, such as RotaryEmbedding or ALiBiBias."
    raise check.refuse(argument, f"must be a Keras layer with the method `{method}`", layer, advice)
