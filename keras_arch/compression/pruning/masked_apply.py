"""An optimizer that leaves zeros alone, for as long as a `with` block lasts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from keras_arch.compression.pruning.deadlines import Deadlines
from keras_arch.core.check import describe
from keras_arch.ops.sparsity import kept, masked


class MaskedSteps:
    """What a `with holding_zeros(...)` block can tell: whether the optimizer was asked for a step.

    >>> from keras_arch.compression.pruning.masked_apply import MaskedSteps
    >>> MaskedSteps().seen
    False
    """

    def __init__(self) -> None:
        self.seen = False


def innermost(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that changes the weights: inside a `LossScaleOptimizer` its inner one.

    >>> from keras_arch.compression.pruning.masked_apply import innermost
    >>> innermost(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(name="inner"))).name
    'inner'
    """
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


@contextmanager
def holding_zeros(
    optimizer: keras.optimizers.Optimizer,
    variables: Sequence[keras.Variable],
    deadlines: Deadlines | None = None,
    watched: Any = None,
) -> Iterator[MaskedSteps]:
    """Keep zeros at zero in every `optimizer.apply` of the block, in the moving averages too.

    apply' = read the mask (w != 0), apply, write the mask.

    The method is replaced on the instance and put back when the block ends, also by an exception. A compiled function
    that is traced inside the block keeps holding zeros after it: trace it anew.

    Args:
        optimizer: a Keras optimizer; of a `LossScaleOptimizer` the inner one is changed.
        variables: weights written by `ops.sparsity.masked`.
        deadlines: steps at which more of these weights go.
        watched: its `step` gets the gradients of every step, by the id of the weight, before the weights change.

    >>> from keras_arch.compression.pruning.masked_apply import holding_zeros
    >>> weight, sgd = keras.Variable([0.0, 2.0]), keras.optimizers.SGD(1.0)
    >>> with holding_zeros(sgd, [weight]):
    ...     sgd.apply([keras.ops.ones(2)], [weight])
    >>> keras.ops.convert_to_numpy(weight).tolist()
    [0.0, 1.0]
    """
    inner = innermost(optimizer)
    if not isinstance(inner, keras.optimizers.Optimizer):
        raise ValueError(
            f"optimizer must be a Keras optimizer; received optimizer={describe(inner)}. Compile the model with one."
        )
    apply, own = inner.apply, vars(inner).get("apply")
    steps = MaskedSteps()

    def masked_apply(grads: list, trainable_variables: list | None = None) -> None:
        steps.seen = True
        keep = [kept(variable) for variable in variables]
        if watched is not None:
            trained = inner._trainable_variables if trainable_variables is None else trainable_variables
            watched.step({id(variable): grad for variable, grad in zip(trained, grads, strict=True)})
        apply(grads, trainable_variables)
        if deadlines is not None:
            step = inner.iterations
            keep = [ops.logical_and(mask, deadlines.alive(index, step)) for index, mask in enumerate(keep)]
        averages = moving_averages(inner)
        for variable, mask in zip(variables, keep, strict=True):
            variable.assign(masked(variable, mask))
            average = averages.get(id(variable))
            if average is not None:
                average.assign(average * ops.cast(mask, average.dtype))

    # Into the instance's dictionary: Keras optimizers track what is set as an attribute.
    vars(inner)["apply"] = masked_apply
    try:
        yield steps
    finally:
        if own is None:
            del vars(inner)["apply"]
        else:
            vars(inner)["apply"] = own


def moving_averages(optimizer: keras.optimizers.Optimizer) -> dict[int, keras.Variable]:
    """The moving average that `use_ema=True` keeps of each weight, by the weight's id.

    Keras has no public way to it; its own `SwapEMAWeights` reads these two lists as well (seen in 3.15.1). By name
    they can't be told apart when two layers have one name. A test fails when they move.

    >>> from keras_arch.compression.pruning.masked_apply import moving_averages
    >>> weight, sgd = keras.Variable([1.0]), keras.optimizers.SGD(0.5, use_ema=True)
    >>> sgd.build([weight])
    >>> list(moving_averages(sgd)) == [id(weight)]
    True
    """
    averages = {}
    for part in getattr(optimizer, "optimizers", [optimizer]):
        if part.use_ema:
            pairs = zip(part._trainable_variables, part._model_variables_moving_average, strict=True)
            averages |= {id(variable): average for variable, average in pairs if average is not None}
    return averages
