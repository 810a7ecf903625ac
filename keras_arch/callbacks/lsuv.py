"""Layer-sequential unit variance at the start of training."""

from typing import Any

import keras

from keras_arch.core import check
from keras_arch.initializers.lsuv import check_options, lsuv
from keras_arch.initializers.lsuv_report import LSUVReport


class LSUV(keras.callbacks.Callback):
    """Scales the kernels of a fresh model by `keras_arch.initializers.lsuv` before the first step of `fit`.

    Fresh is a model whose optimizer has not made a step, in a `fit` that starts at epoch 0. So nothing happens when
    training goes on: in a second `fit`, after `keras.saving.load_model` or `BackupAndRestore` has brought a trained
    model back with its optimizer, with `initial_epoch`, or once this callback has scaled the model, also if it was
    compiled again since. Weights that were loaded without an optimizer can't be told from fresh ones: leave the
    callback out there, or freeze their layers, which are never scaled. The order of callbacks does not matter.

    Args:
        batch: inputs in the model's own structure, as for `lsuv`.
        tolerance, max_iterations, orthonormal, seed: as for `lsuv`.
        again: whether to scale at the start of every `fit`, whatever the model has learned.
    Raises:
        ValueError: for options out of range; when `fit` begins, as `lsuv` does, with the weights untouched.

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="head")])
    >>> model.compile("sgd", "mse")
    >>> x = np.random.default_rng(0).normal(size=(32, 3))
    >>> scaling = ka.callbacks.LSUV(x, seed=0)
    >>> history = model.fit(x, np.zeros((32, 4)), callbacks=[scaling], verbose=0)
    >>> scaling.report.layers[0].path, round(scaling.report.layers[0].after, 4)
    ('head', 1.0)
    """

    def __init__(
        self,
        batch: Any,
        *,
        tolerance: float = 0.01,
        max_iterations: int = 10,
        orthonormal: bool = True,
        seed: Any = None,
        again: bool = False,
    ) -> None:
        super().__init__()
        self.batch = batch
        self.options = {
            "tolerance": tolerance,
            "max_iterations": max_iterations,
            "orthonormal": orthonormal,
            "seed": check_options(tolerance, max_iterations, orthonormal, seed),
        }
        if not isinstance(again, bool):
            raise check.refuse("again", "must be True or False", again, "Pass True to scale in every fit.")
        self.again = again
        self.report: LSUVReport | None = None
        self._scaled: keras.Model | None = None
        self._begun = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Note that a `fit` begins. Not all callbacks have restored the model yet, and its first epoch is unknown."""
        self._begun = True

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Scale the model before the first epoch, if it is fresh."""
        begins, self._begun = self._begun, False
        if not begins:
            return
        steps = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        fresh = epoch == 0 and steps == 0 and self._scaled is not self.model
        if fresh or self.again:
            self.report = lsuv(self.model, self.batch, **self.options)
            self._scaled = self.model
