"""How far batch normalization scales a channel."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_arch.compression.nesting import open_graph
from keras_arch.compression.pruning.shrinking.mixing import Mixing, kernel_of_filters
from keras_arch.compression.pruning.shrinking.trace import Trace
from keras_arch.core.inner_channels import inner_channels_of
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
        means = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        scales = {key: (axis, means[groups]) for key, (axis, groups) in makers.items()}
        for name, layer in trace.graph.operations.items():
            if isinstance(layer, keras.Layer) and name not in trace.rules:
                scales |= _scales_inside(layer)
        scores = {}
        for variable in variables:
            axis, values = scales.get(id(variable), (-1, np.array([np.nan])))
            if np.isnan(values).any():
                raise ValueError(
                    "criterion needs a BatchNormalization with a gamma behind every target; received "
                    f"{variable.path} without one. Leave it out by targets."
                )
            shape = [1] * len(variable.shape)
            shape[axis] = -1
            scores[id(variable)] = np.broadcast_to(values.astype("float32").reshape(shape), tuple(variable.shape))
        return lambda variable: scores[id(variable)]


def _scales_inside(layer: keras.Layer) -> dict[int, tuple[int, np.ndarray]]:
    """Kernels that make channels inside a layer: axis of these, and the mean |γ| of each index along it."""
    found = {}
    for inner in inner_channels_of(layer):
        gammas = [variable for variable, _ in inner.slices if variable.name == "gamma"]
        if gammas:
            means = np.mean([np.abs(gamma.numpy()).reshape(inner.size, -1).mean(axis=1) for gamma in gammas], axis=0)
            for place in set(range(len(inner.slices))) - {*inner.spared, *inner.uncounted}:
                kernel, axis = inner.slices[place]
                found[id(kernel)] = axis, inner.along(place, means)
    return found
