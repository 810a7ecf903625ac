"""How far batch normalization scales a channel."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_arch.compression.pruning.shrinking.mixing import Mixing, kernel_of_filters
from keras_arch.compression.pruning.shrinking.nesting import open_graph
from keras_arch.compression.pruning.shrinking.trace import Trace
from keras_arch.core.registration import register
from keras_arch.core.value import Value


@register
@dataclasses.dataclass(frozen=True)
class BatchNormScale(Value):
    """A filter matters as much as the gamma of the batch normalization behind it, as in network slimming.

    score = |γ|, the same for all weights of a filter; their mean where several normalizations read the channel.

    Made for the pattern "channel". Train first with a penalty that makes gammas small where they can be, such as
    `keras.layers.BatchNormalization(gamma_regularizer=keras.regularizers.L1(1e-4))`; without one, gammas say little.

    Raises:
        ValueError: when it meets a model without a graph, or a target whose filters no batch normalization with a gamma
            reads: leave it out by `targets`.
    Source: Liu et al. 2017, arXiv:1708.06519.

    >>> inputs = keras.Input((4,))
    >>> x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(2, name="body")(inputs))
    >>> model = keras.Model(inputs, keras.layers.Dense(1)(x))
    >>> _ = model.get_layer("norm").gamma.assign([0.1, 2.0])
    >>> report = ka.compression.prune(
    ...     model, 0.5, criterion="batch_norm_scale", pattern="channel", targets=["body"]
    ... )
    >>> model.get_layer("norm").gamma.numpy().tolist()
    [0.0, 2.0]
    """

    def for_model(self, model: keras.Model, variables: list[keras.Variable]) -> Callable[[keras.Variable], Any]:
        """Read the scales of a model now.

        Args:
            model: a built Sequential or functional model; it is read, never changed.
            variables: kernels of it.
        Returns:
            A callable from one of the kernels to its scores, float32, of its shape.
        """
        trace = Trace(open_graph(model))
        total, count = np.zeros((2, len(trace.units)))
        makers = {}
        for name, rule in trace.rules.items():
            if isinstance(rule, Mixing):
                kernel, axis = kernel_of_filters(rule.layer)
                makers[id(kernel)] = axis, trace.units.roots(trace.outputs[name][0].units)
            elif isinstance(rule.layer, keras.layers.BatchNormalization) and rule.layer.scale:
                groups = trace.units.roots(trace.inputs[name][0].units)
                np.add.at(total, groups, np.abs(rule.layer.gamma.numpy()))
                np.add.at(count, groups, 1)
        scores = {}
        for variable in variables:
            axis, groups = makers.get(id(variable), (-1, None))
            if groups is None or not count[groups].all():
                raise ValueError(
                    "criterion needs a BatchNormalization with a gamma behind every target; received "
                    f"{variable.path} without one. Leave it out by targets."
                )
            shape = [1] * len(variable.shape)
            shape[axis] = -1
            scales = (total[groups] / count[groups]).astype("float32").reshape(shape)
            scores[id(variable)] = np.broadcast_to(scales, tuple(variable.shape))
        return lambda variable: scores[id(variable)]
