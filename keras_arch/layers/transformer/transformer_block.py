"""What the transformer blocks share: their options, branches with a residual connection, and their config."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_arch.core import check
from keras_arch.core.initializer import cloned
from keras_arch.core.inner_channels import InnerChannels, between
from keras_arch.layers.attention.multi_head_attention import MultiHeadAttention
from keras_arch.layers.transformer.deepnorm import DeepNormAttention, ScaledInitializer
from keras_arch.layers.transformer.gated_feed_forward import GatedFeedForward
from keras_arch.layers.transformer.layer_scale import LayerScale
from keras_arch.layers.transformer.stochastic_depth import StochasticDepth
from keras_arch.ops.residual import PLACEMENTS, deepnorm_constants, residual

NORMALIZATIONS = {"layer": keras.layers.LayerNormalization, "rms": keras.layers.RMSNormalization}
GATES = {"geglu": "gelu", "swiglu": "silu", "reglu": "relu"}
SELF_ATTENTION_ONLY = ("rotary_embedding", "position_bias", "sliding_window")
ATTENTION_OPTIONS = ("num_kv_heads", "qk_norm", "logit_soft_cap", *SELF_ATTENTION_ONLY)
OBJECTS = ("attention", "cross_attention", "feed_forward", "rotary_embedding", "position_bias")
BRANCHES = ("attention", "feed_forward", "cross_attention")  # the place of a branch counts up its seeds


class TransformerBlock(keras.layers.Layer):
    """Base of the blocks: holds the options, builds the branches, and joins them to the residual stream.

    A branch is a normalization, what it computes, and what is done to its output: normalization ("sandwich"), dropout,
    layer scale, stochastic depth, in this order. A subclass says which branches there are.
    """

    stack = "encoder"

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
        key_dim: int | None = None,
        **kwargs,
    ) -> None:
        # Each part casts its own inputs; Keras would also cast the float32 parts of a cache.
        super().__init__(**kwargs, autocast=False)
        self.num_heads = None if num_heads is None else check.integer("num_heads", num_heads)
        self.intermediate_dim = (
            None if intermediate_dim is None else check.integer("intermediate_dim", intermediate_dim)
        )
        self.dropout = check.real("dropout", dropout, minimum=0, maximum=1, open_maximum=True)
        self.attention_dropout = check.real(
            "attention_dropout", attention_dropout, minimum=0, maximum=1, open_maximum=True
        )
        self.activation = keras.activations.get(activation)
        self.norm_placement = check.one_of("norm_placement", norm_placement, PLACEMENTS)
        self.normalization = check.one_of("normalization", normalization, NORMALIZATIONS)
        self.epsilon = check.real("epsilon", epsilon, minimum=0, maximum=1, open_minimum=True)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.seed = seed
        self.feed_forward = self._checked_feed_forward(feed_forward)
        self.parallel = parallel
        if parallel and norm_placement not in ("pre", "sandwich"):
            advice = 'Use norm_placement="pre" or "sandwich": parallel branches start from one normalized input.'
            raise check.refuse("parallel", "needs a normalization before the branches", parallel, advice)
        self.layer_scale = None
        if layer_scale is not None:
            self.layer_scale = check.real("layer_scale", layer_scale, minimum=-3e38, maximum=3e38)
        self.stochastic_depth = check.real(
            "stochastic_depth", stochastic_depth, minimum=0, maximum=1, open_maximum=True
        )
        if num_layers is not None:
            deepnorm_constants(num_layers, self.stack)
        self.num_layers = tuple(num_layers) if isinstance(num_layers, list) else num_layers
        self.num_kv_heads = num_kv_heads
        self.rotary_embedding = rotary_embedding
        self.position_bias = position_bias
        self.qk_norm = qk_norm
        self.logit_soft_cap = logit_soft_cap
        self.sliding_window = sliding_window
        self.key_dim = None if key_dim is None else check.integer("key_dim", key_dim)
        self.has_given_attention = attention is not None
        if attention is not None:
            self.attention = checked_layer("attention", attention)
            self._refuse_description_of_attention()
        self.supports_masking = True

    def get_config(self) -> dict:
        written = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in ("feed_forward", "rotary_embedding", "position_bias")
        }
        plain = ("parallel", "layer_scale", "stochastic_depth", "num_layers", "num_kv_heads", "qk_norm")
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
            **written,
            **{name: getattr(self, name) for name in (*plain, "logit_soft_cap", "sliding_window", "key_dim")},
            "attention": keras.saving.serialize_keras_object(self.attention) if self.has_given_attention else None,
        }

    @classmethod
    def from_config(cls, config: dict) -> "TransformerBlock":
        revived = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in OBJECTS
            if isinstance(config.get(name), dict)
        }
        return super().from_config({**config, **revived})

    def inner_channels(self) -> list[InnerChannels]:
        """The features inside the feed-forward network and the heads of attention, for pruning.

        Not those of given layers, nor the heads of a block that also attends to a memory: one number counts both.
        """
        inner = []
        if self.feed_forward in GATES:
            inner = self.gated_feed_forward.inner_channels()
        elif self.feed_forward == "mlp":
            inner = between([[self.intermediate_dense]], self.output_dense, "intermediate_dim")
        if not self.has_given_attention and not getattr(self, "has_memory", False):
            own = {"key_dim": self.attention.key_dim}
            inner += [dataclasses.replace(heads, config=own) for heads in self.attention.inner_channels()]
        return inner

    def _checked_feed_forward(self, feed_forward: Any) -> Any:
        """A name, or a layer that replaces the network and whatever would describe it."""
        if isinstance(feed_forward, keras.layers.Layer):
            if self.intermediate_dim is not None:
                advice = "Leave intermediate_dim out: the given layer has its own size."
                raise check.refuse("intermediate_dim", "is not used by a given layer", self.intermediate_dim, advice)
        elif not isinstance(feed_forward, str):
            advice = f"Pass one of {', '.join(('mlp', *GATES))}, or a layer that maps (B, T, D) to (B, T, D)."
            raise check.refuse("feed_forward", "must be a name or a Keras layer", feed_forward, advice)
        else:
            check.one_of("feed_forward", feed_forward, ("mlp", *GATES))
        if feed_forward != "mlp" and self.activation is not keras.activations.gelu:
            advice = "Leave activation out: the name of a gated network says it, and a given layer has its own."
            raise check.refuse("activation", 'is used by feed_forward="mlp" only', self.activation, advice)
        return feed_forward

    def _refuse_description_of_attention(self) -> None:
        """A given layer leaves nothing to the arguments that describe the default one."""
        names = [name for name in ("num_heads", "key_dim", *ATTENTION_OPTIONS) if getattr(self, name) is not None]
        for name in [*names, *(["attention_dropout"] if self.attention_dropout else [])]:
            advice = f"Leave {name} out, or give it to that layer."
            raise check.refuse(name, "is not used when attention is given", getattr(self, name), advice)

    def _open_build(self, shape: tuple, *, two_stacks: bool) -> None:
        """Check what takes more than one argument to see, and set DeepNorm's constants."""
        if len(shape) != 3:
            raise check.refuse("inputs", "must have three axes", tuple(shape), "Pass (batch, length, features).")
        if not self.has_given_attention and self.num_heads is None:
            raise check.refuse("num_heads", "must be given", None, "Pass a divisor of the features, or attention=.")
        if isinstance(self.feed_forward, str) and self.intermediate_dim is None:
            advice = "Pass the features inside the feed-forward network, often 4 times those of the inputs."
            raise check.refuse("intermediate_dim", "must be given", None, advice)
        deep = self.norm_placement == "deepnorm"
        if deep != (self.num_layers is not None):
            rule = 'goes with norm_placement="deepnorm" and with no other'
            advice = "Pass how many blocks the model has." if deep else "Leave it out."
            raise check.refuse("num_layers", rule, self.num_layers, advice)
        if two_stacks and isinstance(self.num_layers, int):
            advice = "Pass (blocks of the encoder, blocks of the decoder)."
            raise check.refuse("num_layers", "must be a pair where there is a memory", self.num_layers, advice)
        if self.stack == "decoder" and not two_stacks and isinstance(self.num_layers, tuple):
            advice = "Pass the blocks of the one stack."
            raise check.refuse("num_layers", "must be a number where there is no memory", self.num_layers, advice)
        self.alpha, self.beta = deepnorm_constants(self.num_layers, self.stack) if deep else (1.0, 1.0)

    def _build_branch(self, name: str, shape: tuple, build: Callable[[], None]) -> None:
        """Make the layers of a branch in the order in which they act; the order of the weights follows."""
        if not self.parallel:
            setattr(self, f"{name}_norm", self._normalization(f"{name}_norm", shape))
        elif not hasattr(self, "norm"):
            self.norm = self._normalization("norm", shape)
        build()
        if self.norm_placement == "sandwich":
            setattr(self, f"{name}_output_norm", self._normalization(f"{name}_output_norm", shape))
        # Each layer that drops has a seed of its own, or equal shapes would drop the same places.
        place = BRANCHES.index(name) + 1
        common = {"dtype": self.dtype_policy}
        drop = keras.layers.Dropout(self.dropout, seed=self._seed(place), name=f"{name}_drop", **common)
        setattr(self, f"{name}_drop", drop)
        if self.layer_scale is not None:
            scale = LayerScale(self.layer_scale, name=f"{name}_layer_scale", **common)
            scale.build(shape)
            setattr(self, f"{name}_layer_scale", scale)
        if self.stochastic_depth:
            depth = StochasticDepth(
                self.stochastic_depth, seed=self._seed(place + 3), name=f"{name}_stochastic_depth", **common
            )
            setattr(self, f"{name}_stochastic_depth", depth)

    def _run_branches(self, x: Any, branches: dict[str, Callable[[Any], Any]], training: bool | None) -> Any:
        """Run the branches one after the other, or all from one normalized input."""

        def finished(name: str) -> Callable[[Any], Any]:
            return lambda y: self._finish(name, branches[name](y), training)

        x = ops.cast(x, self.compute_dtype)
        if self.parallel:
            return residual(x, lambda y: sum(finished(name)(y) for name in branches), self.norm, self.norm_placement)
        for name in branches:
            x = residual(x, finished(name), getattr(self, f"{name}_norm"), self.norm_placement, self.alpha)
        return x

    def _finish(self, name: str, output: Any, training: bool | None) -> Any:
        output = ops.cast(output, self.compute_dtype)  # a given layer may have another dtype
        if self.norm_placement == "sandwich":
            output = getattr(self, f"{name}_output_norm")(output)
        output = getattr(self, f"{name}_drop")(output, training=training)
        if self.layer_scale is not None:
            output = getattr(self, f"{name}_layer_scale")(output)
        if self.stochastic_depth:
            output = getattr(self, f"{name}_stochastic_depth")(output, training=training)
        return output

    def _default_attention(self, name: str, features: int, options: tuple[str, ...], seed: int | None) -> Any:
        if self.key_dim is None and features % self.num_heads:
            advice = f"The inputs have {features} features: choose a divisor of that, or give key_dim."
            raise check.refuse("num_heads", "must divide the features", self.num_heads, advice)
        given = {option: getattr(self, option) for option in options if getattr(self, option) is not None}
        attention_class = MultiHeadAttention
        if self.norm_placement == "deepnorm":
            attention_class, given["gain"] = DeepNormAttention, self.beta
        return attention_class(
            self.num_heads,
            self.key_dim or features // self.num_heads,
            dropout=self.attention_dropout,
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            seed=seed,
            dtype=self.dtype_policy,
            name=name,
            **given,
        )

    def _build_self_attention(self, shape: tuple) -> None:
        if self.has_given_attention:
            built_by_a_call(self.attention, shape, shape)
        else:
            self.attention = self._default_attention("attention", shape[-1], ATTENTION_OPTIONS, self.seed)
            self.attention.build(shape, shape)

    def _build_feed_forward(self, shape: tuple) -> None:
        if self.feed_forward in GATES:
            self.gated_feed_forward = GatedFeedForward(
                self.intermediate_dim,
                activation=GATES[self.feed_forward],
                use_bias=self.use_bias,
                kernel_initializer=self._kernel_initializer(),
                bias_initializer=cloned(self.bias_initializer),
                dtype=self.dtype_policy,
                name="gated_feed_forward",
            )
            self.gated_feed_forward.build(shape)
        elif self.feed_forward == "mlp":
            self.intermediate_dense = self._dense("intermediate_dense", self.intermediate_dim, self.activation)
            self.intermediate_dense.build(shape)
            self.output_dense = self._dense("output_dense", shape[-1], None)
            self.output_dense.build((*shape[:-1], self.intermediate_dim))
        else:
            output = tuple(built_by_a_call(self.feed_forward, shape).shape)
            if output[-1] != shape[-1] or len(output) != 3:
                advice = f"Its output has the shape {output} for inputs {tuple(shape)}."
                raise check.refuse("feed_forward", "must keep the shape of its input", self.feed_forward, advice)

    def _feed(self, x: Any) -> Any:
        if self.feed_forward in GATES:
            return self.gated_feed_forward(x)
        return self.output_dense(self.intermediate_dense(x)) if self.feed_forward == "mlp" else self.feed_forward(x)

    def _normalization(self, name: str, shape: tuple) -> keras.layers.Layer:
        layer = NORMALIZATIONS[self.normalization](epsilon=self.epsilon, dtype=self.dtype_policy, name=name)
        layer.build(shape)
        return layer

    def _dense(self, name: str, units: int, activation: Any) -> keras.layers.Dense:
        return keras.layers.Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            kernel_initializer=self._kernel_initializer(),
            bias_initializer=cloned(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )

    def _kernel_initializer(self) -> Any:
        initializer = cloned(self.kernel_initializer)
        return ScaledInitializer(initializer, self.beta) if self.norm_placement == "deepnorm" else initializer

    def _seed(self, offset: int) -> int | None:
        return None if self.seed is None else self.seed + offset


def attend(attention: keras.layers.Layer, *inputs: Any, **arguments: Any) -> list:
    """Call an attention layer with the arguments that are set, so that it need not know the others: its outputs."""
    given = {name: value for name, value in arguments.items() if value is not None and value is not False}
    outputs = attention(*inputs, **given)
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def built_by_a_call(layer: keras.layers.Layer, *shapes: tuple) -> Any:
    """Build a given layer, which need not have a `build` of its own, and return its symbolic output."""
    return layer(*(keras.KerasTensor(shape, dtype=layer.compute_dtype) for shape in shapes))


def checked_layer(argument: str, layer: Any) -> keras.layers.Layer:
    """Return a Keras layer as it is, or raise for anything else."""
    if not isinstance(layer, keras.layers.Layer):
        advice = "Pass an attention layer, called as layer(query, value, ...), or leave it out."
        raise check.refuse(argument, "must be a Keras layer", layer, advice)
    return layer
