"""Whole heads of attention."""

import dataclasses
from typing import Any

import keras

from keras_arch.compression.pruning.channel_groups import ChannelGroups, heads
from keras_arch.compression.scope import Target
from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class Head(Value):
    """Heads of attention go as a whole: `compression.shrink` then builds layers with fewer of them.

    Of every `keras.layers.MultiHeadAttention`, `keras.layers.GroupQueryAttention` and
    `keras_arch.layers.MultiHeadAttention`, in transformer blocks too and in models of any kind. With a head go its
    slices of the query, key, value, gate and output kernels and of their biases. It matters as much as its kernel
    weights on average. Sparsities are fractions of heads: with the scope "layer" of each attention layer, with "global"
    of all; the best head of each layer stays.

    Heads of queries that share keys and values are one group, which counts as one head and goes as a whole. None of
    them goes alone: every head of keys has to serve as many of queries, and which of them is dead differs by group.
    Left alone is attention with a bias of positions for each head.

    Raises:
        ValueError: when it meets a model, if a layer that `targets` names has no heads, or no layer has.
    Source: Michel et al. 2019, arXiv:1905.10650.

    >>> inputs = keras.Input((3, 8))
    >>> model = keras.Model(inputs, keras.layers.MultiHeadAttention(4, 2, name="attention")(inputs, inputs))
    >>> report = ka.compression.prune(model, 0.5, pattern="head")
    >>> report.sparsity, ka.compression.shrink(model).get_layer("attention").num_heads
    (0.5, 2)
    """

    def for_model(self, model: keras.Model, targets: tuple[Target, ...], named: bool) -> Any:
        """Find the heads of a model.

        Args:
            model: a built model.
            targets: weights that may be pruned.
            named: whether the user named layers, so that each must have heads.
        """
        return ChannelGroups(heads(model), targets, named)
