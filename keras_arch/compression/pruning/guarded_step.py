"""The compiled training step of a model, held sparse for the time of one fit."""

from typing import Any

import keras

from keras_arch.compression.pruning.pruner import Pruner


class GuardedStep:
    """Stands in for `model.train_function` and holds zeros in the steps that were announced, in no others.

    Keras tells callbacks nothing when `fit` ends by an exception. So the optimizer is changed only while a training
    step runs, inside a `with` block, and each step of this fit is announced by `arm`. The first step that comes
    unannounced belongs to somebody else: another fit, or `train_on_batch`, after this fit was cut short. Then the
    guard rebuilds the stock training step and is gone.

    Args:
        model: a compiled model, inside `fit`.
        pruner: holds the zeros.

    >>> from keras_arch.compression.pruning.guarded_step import GuardedStep
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> guard = GuardedStep(model, ka.compression.Pruner(model, ka.compression.ConstantSchedule(0.5)))
    >>> guard.arm()
    >>> model.train_function is guard
    True
    >>> guard.remove()
    >>> model.train_function is guard
    False
    """

    def __init__(self, model: keras.Model, pruner: Pruner) -> None:
        self.model = model
        self.pruner = pruner
        # A step that was traced before holds nothing: trace it anew.
        model.make_train_function(force=True)
        self.step = model.train_function
        self._armed = False

    def arm(self) -> None:
        """Announce the next training step, and take the place of the training step if somebody rebuilt it."""
        self._armed = True
        known = self.model.train_function
        while known is not self and isinstance(known, GuardedStep):
            known = known.step
        if known is not self:
            self.step = self.model.train_function
            self.model.train_function = self

    def remove(self) -> None:
        """Give the model its stock training step back."""
        self.model.make_train_function(force=True)

    def __call__(self, *data: Any) -> Any:
        """Take one training step."""
        if not self._armed:
            self.remove()
            return self.model.train_function(*data)
        self._armed = False
        fresh = self.step is not self._traced
        with self.pruner.hold() as steps:
            result = self.step(*data)
        if fresh and not steps.seen:
            raise RuntimeError(
                "pruning holds zeros in the optimizer that the model was compiled with, and train_step never called "
                "it. Compile with the optimizer that train_step uses, or use compression.Pruner in a loop of your own."
            )
        self._traced = self.step
        return result

    _traced: Any = None
