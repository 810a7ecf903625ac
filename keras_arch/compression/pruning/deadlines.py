"""For each weight the step at which it goes: pruning in the middle of a compiled execution."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

NEVER = 2**31 - 1


class Deadlines:
    """Steps at which single weights go, decided on the host and obeyed inside a compiled training step.

    A compiled execution of several steps, or a step that loss scaling may skip, reaches a step of the schedule when no
    callback looks. So the weights that go are chosen before, each with its step, and the step's own counter decides.

    Args:
        variables: the weights.

    >>> from keras_arch.compression.pruning.deadlines import Deadlines
    >>> deadlines = Deadlines([keras.Variable([1.0, 2.0, 3.0])])
    >>> deadlines.add(0, [(5, [np.array([True, False, False])]), (8, [np.array([True, True, False])])])
    >>> [keras.ops.convert_to_numpy(deadlines.alive(0, step)).tolist() for step in (4, 5, 8)]
    [[True, True, True], [False, True, True], [False, False, True]]
    """

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self.steps = [
            keras.Variable(np.full(variable.shape, NEVER, "int32"), trainable=False, dtype="int32")
            for variable in variables
        ]

    def pending(self, now: int) -> list[np.ndarray]:
        """Boolean arrays: which weights have a deadline after step `now`."""
        return [(step > now) & (step != NEVER) for step in (variable.numpy() for variable in self.steps)]

    def add(self, now: int, marks: Sequence[tuple[int, Sequence[np.ndarray]]]) -> None:
        """Set deadlines; those that are still pending stay, those that passed are forgotten.

        Args:
            now: finished optimizer steps.
            marks: (step, boolean arrays of what is gone at it), steps ascending.
        """
        for index, variable in enumerate(self.steps):
            steps = variable.numpy()
            steps = np.where(steps > now, steps, NEVER).astype("int32")
            for step, gone in marks:
                steps[gone[index] & (steps == NEVER)] = step
            variable.assign(steps)

    def alive(self, index: int, step: Any) -> Any:
        """Where weight `index` has not reached its deadline after `step` steps, in tensors."""
        return ops.greater(self.steps[index], ops.cast(step, "int32"))
