"""Whole channels, with all that depends on them."""

import dataclasses
from typing import Any

import keras

from keras_arch.compression.pruning.channel_groups import ChannelGroups, channels
from keras_arch.compression.scope import Target
from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class Channel(Value):
    """Filters and units go as a whole: what is left is a smaller dense model, which `compression.shrink` builds.

    A pruned channel is dead in fact: with the weights of its filter go its bias, the gamma and beta of batch
    normalization, and the kernel and bias of a depthwise convolution behind it. Channels that meet in an Add, a
    Multiply or their kin go together or not at all, over all layers that make them. Such a group matters as much as its
    kernel weights on average (mean |w| for the criterion "magnitude": the L1 norm over the number of weights).

    Inside our convolutional blocks the channels between convolutions are such too; what reads them is cut by `shrink`
    and counts for nothing. It goes along where an activation that is not 0 at 0, or a normalization without gamma,
    would let a dead channel through. The groups of a `BottleneckBlock` that has some go as a whole. Between two dense
    layers both kernels count: in the feed-forward networks of transformer blocks, in `ConvNeXtBlock` and in
    `SqueezeExcite`. Left alone is what a normalization mixes, such as "layer" or a global response.

    Sparsities are fractions of channels: with the scope "layer" of each set of channels that the same layers make,
    with "global" of all. The best channel of each set stays, whatever the sparsity. Channels that `shrink` can't follow
    (the outputs of the model, what a layer outside its list takes or gives) are never pruned, nor are channels that
    also a layer makes which is not among the targets. Of the default targets those are pruned that can be.

    Raises:
        ValueError: when it meets a model: for a subclassed one, which has no graph, if a layer that `targets` names has
            no channel that can go, or if no layer has.
    Source: Li et al. 2017, arXiv:1608.08710, for filters; Fang et al. 2023, arXiv:2301.12900, for groups.

    >>> layers = [keras.Input((4,)), keras.layers.Dense(6, "relu", name="body"), keras.layers.Dense(2)]
    >>> model = keras.Sequential(layers)
    >>> report = ka.compression.prune(model, 0.5, pattern=ka.compression.pruning.patterns.Channel())
    >>> report.layers[0].path, report.sparsity, ka.compression.shrink(model).get_layer("body").units
    ('body', 0.5, 3)
    """

    def for_model(self, model: keras.Model, targets: tuple[Target, ...], named: bool) -> Any:
        """Find the groups of a model.

        Args:
            model: a built Sequential or functional model.
            targets: weights that may be pruned.
            named: whether the user chose them one by one, so that each must have a channel that can go.
        """
        return ChannelGroups(channels(model), targets, named)
