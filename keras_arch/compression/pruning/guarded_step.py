"""The compiled training step of a model, held sparse or clustered for the time of one fit."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import keras

from keras_arch.compression.pruning.masked_apply import MaskedSteps


class Holder(Protocol):
    """What holds the weights of a model in the steps of its optimizer: a `Pruner`, a `Clusterer`."""

    def hold(self) -> AbstractContextManager[MaskedSteps]:
        """Hold them inside the `with` block."""
        raise NotImplementedError


class GuardedStep:
    """Stands in for `model.train_function` and holds zeros in the steps that were announced, in no others.

    Keras tells callbacks nothing when `fit` ends by an exception. So the optimizer is changed only while a training
    step runs, inside a `with` block, and each step of this fit is announced by `arm`. The first step that comes
    unannounced belongs to somebody else: another fit, or `train_on_batch`, after this fit was cut short. Then the
    guard rebuilds the stock training step and is gone.

    Args:
        model: a compiled model, inside `fit`.
        pruner: holds the zeros, or the clusters; None for a model that is not built yet.
        make_pruner: makes the pruner then, called when the first step has its data and the model is built from it.

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

    def __init__(
        self, model: keras.Model, pruner: Holder | None, make_pruner: Callable[[], Holder] | None = None
    ) -> None:
        self.model = model
        self.pruner = pruner
        self.make_pruner = make_pruner
        self.step = _fresh_step(model)
        self._armed = False
        self._checked: Any = None

    def arm(self) -> None:
        """Announce the next training step, and take the place of the training step if somebody rebuilt it."""
        self._armed = True
        known = self.model.train_function
        while known is not self and isinstance(known, GuardedStep):
            known = known.step
        if known is not self:
            outer = self.model.train_function
            self.step = outer if isinstance(outer, GuardedStep) else _fresh_step(self.model)
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
        if self.pruner is None:
            _build(self.model, data[-1])
            self.pruner = self.make_pruner()
        with self.pruner.hold() as steps:
            result = self.step(*data)
        if self.step is not self._checked and not steps.seen:
            raise RuntimeError(
                "zeros and clusters are held in the optimizer that the model was compiled with, and train_step never "
                "called it. Compile with the optimizer that train_step uses, or use compression.Pruner or "
                "compression.Clusterer in a loop of your own."
            )
        self._checked = self.step
        return result


def _build(model: keras.Model, batches: Any) -> None:
    """Build a model from the description of the batches that TensorFlow's iterator carries, without taking one."""
    spec = batches.element_spec
    inputs = spec[0] if isinstance(spec, tuple | list) else spec
    model(keras.tree.map_structure(lambda tensor: keras.KerasTensor(tuple(tensor.shape), tensor.dtype.name), inputs))


def _fresh_step(model: keras.Model) -> Callable[..., Any]:
    """A training step of the model that is sure to be traced anew, while zeros are held.

    JAX keeps traces by equality of the function, and `model.train_step` equals itself after `force=True`. So a new
    function stands in for it while the training step is built, and only then.
    """
    own, train_step = vars(model).get("train_step"), model.train_step
    vars(model)["train_step"] = lambda *data: train_step(*data)
    try:
        model.make_train_function(force=True)
    finally:
        if own is None:
            del vars(model)["train_step"]
        else:
            vars(model)["train_step"] = own
    return model.train_function
