"""An optimizer that moves the weights of a cluster together, for as long as a `with` block lasts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.compression.pruning.masked_apply import MaskedSteps, innermost, moving_averages
from keras_arch.core.check import describe
from keras_arch.ops.shared_weights import joined_gradient, joined_value


class SharedWeight:
    """A weight and the cluster of each of its numbers.

    Args:
        variable: the weight.
        index: cluster of each number, integers of its shape.
        clusters: number of clusters.
        keeps_zeros: whether cluster 0 is 0: its members stay there, and so does any other number that becomes 0.

    >>> from keras_arch.compression.clustering.shared_apply import SharedWeight
    >>> weight = keras.Variable([1.0, 3.0, 5.0])
    >>> shared = SharedWeight(weight, np.array([0, 0, 1], "uint8"), clusters=2)
    >>> keras.ops.convert_to_numpy(shared.value(weight, shared.index_now())).tolist()
    [2.0, 2.0, 5.0]
    """

    def __init__(self, variable: keras.Variable, index: np.ndarray, clusters: int, keeps_zeros: bool = False) -> None:
        self.variable = variable
        self.index = keras.Variable(index, dtype=index.dtype.name, trainable=False, name="cluster")
        self.clusters = clusters
        self.keeps_zeros = keeps_zeros

    def index_now(self) -> Any:
        """Cluster of each number; that of zeros for what is 0 now, whoever pruned it."""
        index = ops.convert_to_tensor(self.index)
        return ops.where(ops.equal(self.variable, 0), ops.zeros_like(index), index) if self.keeps_zeros else index

    def gradient(self, gradient: Any, index: Any, mean: bool) -> Any:
        """The gradient of the cluster's value, for each of its members."""
        return self._without_zeros(joined_gradient(gradient, index, self.clusters, mean), index)

    def value(self, value: Any, index: Any) -> Any:
        """One value for all members of a cluster."""
        return self._without_zeros(joined_value(value, index, self.clusters), index)

    def _without_zeros(self, tensor: Any, index: Any) -> Any:
        return ops.where(ops.equal(index, 0), ops.zeros_like(tensor), tensor) if self.keeps_zeros else tensor


@contextmanager
def sharing_weights(
    optimizer: keras.optimizers.Optimizer, weights: Sequence[SharedWeight], mean: bool = False
) -> Iterator[MaskedSteps]:
    """Keep one value a cluster in every `optimizer.apply` of the block, in the moving averages too.

    apply' = join the gradients of each cluster, apply, join the values of each cluster.

    With equal gradients the members move together under any optimizer that works number by number; joining the values
    makes up for what does not, such as moments from before, or an update of the whole matrix.

    The method is replaced on the instance and put back when the block ends, also by an exception. A compiled function
    that is traced inside the block keeps sharing after it: trace it anew.

    Args:
        optimizer: a Keras optimizer; of a `LossScaleOptimizer` the inner one is changed.
        weights: what is shared; weights that the optimizer does not train only have their values joined.
        mean: whether a cluster's gradient is the mean of its members', not their sum.

    >>> from keras_arch.compression.clustering.shared_apply import SharedWeight, sharing_weights
    >>> weight, sgd = keras.Variable([1.0, 1.0, 5.0]), keras.optimizers.SGD(0.5)
    >>> with sharing_weights(sgd, [SharedWeight(weight, np.array([0, 0, 1]), clusters=2)]):
    ...     sgd.apply([keras.ops.array([1.0, 2.0, 3.0])], [weight])
    >>> keras.ops.convert_to_numpy(weight).tolist()
    [-0.5, -0.5, 3.5]
    """
    inner = innermost(optimizer)
    if not isinstance(inner, keras.optimizers.Optimizer):
        raise ValueError(
            f"optimizer must be a Keras optimizer; received optimizer={describe(inner)}. Compile the model with one."
        )
    apply, own = inner.apply, vars(inner).get("apply")
    steps = MaskedSteps()

    def shared_apply(grads: list, trainable_variables: list | None = None) -> None:
        steps.seen = True
        trained = inner._trainable_variables if trainable_variables is None else list(trainable_variables)
        places = {id(variable): place for place, variable in enumerate(trained)}
        grads = list(grads)
        indices = [weight.index_now() for weight in weights]
        for weight, index in zip(weights, indices, strict=True):
            place = places.get(id(weight.variable))
            if place is not None and grads[place] is not None:
                grads[place] = weight.gradient(grads[place], index, mean)
        apply(grads, None if trainable_variables is None else trained)
        averages = moving_averages(inner)
        for weight, index in zip(weights, indices, strict=True):
            weight.variable.assign(weight.value(weight.variable, index))
            average = averages.get(id(weight.variable))
            if average is not None:
                average.assign(weight.value(average, index))

    # Into the instance's dictionary: Keras optimizers track what is set as an attribute.
    vars(inner)["apply"] = shared_apply
    try:
        yield steps
    finally:
        if own is None:
            del vars(inner)["apply"]
        else:
            vars(inner)["apply"] = own
