"""The learning rate as proximal constraints take it: a number, or the optimizer that has it."""

from typing import Any

import keras
from keras import ops

from keras_arch.core import check


def check_learning_rate(learning_rate: Any) -> float | keras.Optimizer:
    """Return a learning rate if it is a number >= 0 or an optimizer, or raise.

    Raises:
        ValueError: for anything else, schedules included: only an optimizer knows the step.

    >>> check_learning_rate(1)
    1.0
    """
    if isinstance(learning_rate, keras.Optimizer):
        return learning_rate
    if isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        raise check.refuse(
            "learning_rate",
            "must be a number or an optimizer",
            learning_rate,
            "Give the schedule to the optimizer and the optimizer to the constraint.",
        )
    return check.strength("learning_rate", learning_rate)


def threshold(strength: float, learning_rate: float | keras.Optimizer) -> Any:
    """Step of the proximal operator: strength times the learning rate now, a number or a float32 scalar.

    An optimizer's variables are read at the call: inside a compiled step they are the step's own, also with JAX.
    """
    if isinstance(learning_rate, keras.Optimizer):
        return strength * ops.cast(learning_rate.learning_rate, "float32")
    return strength * learning_rate


def learning_rate_number(learning_rate: float | keras.Optimizer) -> float:
    """The learning rate now, for a config."""
    if isinstance(learning_rate, keras.Optimizer):
        return float(ops.convert_to_numpy(learning_rate.learning_rate))
    return learning_rate
