"""Pruning while `fit` trains."""

import os
from collections.abc import Callable
from typing import Any

import keras

from keras_arch.compression.pruning.guarded_step import GuardedStep
from keras_arch.compression.pruning.masked_apply import innermost
from keras_arch.compression.pruning.pruner import Overrides, Pruner, check_criterion, check_pattern, check_schedule
from keras_arch.compression.report import SparsityReport, gzipped_bytes, measure, recount
from keras_arch.compression.schedule import Schedule
from keras_arch.compression.scope import SCOPES, Targets
from keras_arch.core import check


class Pruning(keras.callbacks.Callback):
    """Prunes the model while it trains: after every optimizer step it is as sparse as the schedule says, to one weight.

    The model keeps its layers, names and training step. After `fit` it is the stock model it was, with zeros in it:
    nothing to strip, and `model.save` writes a file that loads without keras_arch. If `fit` ends by an exception the
    optimizer is untouched, and the training step gives itself back when it is next used.

    Steps are the finished steps of the optimizer that the model was compiled with, `optimizer.iterations`, so training
    that goes on from a checkpoint goes on with the schedule. With gradient accumulation they count real updates. New
    masks are in place before the step that reaches the schedule's step; with `steps_per_execution` above 1 and under
    loss scaling they come with that step. A step compiled by JAX reads no variables that are not its own: there the
    masks are up to `steps_per_execution` − 1 steps early, and under loss scaling by as many as it skips.

    A mask is its zeros: callbacks that set weights set the mask too, so let `EarlyStopping(restore_best_weights=True)`
    start after the schedule has ended (`start_from_epoch`), or it brings back weights from when the model was less
    sparse. Moving averages of the weights (`use_ema`) are held at zero as well. Only while it trains, a kept weight
    that is exactly 0 is stored as 1e-30.

    To keep accuracy: train first, then prune with a learning rate of about a tenth of the first, over enough steps
    that `every` leaves time to recover, and train on after the schedule's end.

    Args:
        schedule: callable `step -> (update_now, sparsity)`: `PolynomialSchedule`, `CosineSchedule`, `StepSchedule`,
            `ConstantSchedule`, one of tfmot's.
        criterion: "magnitude", "random", a callable that takes a variable and returns scores of its shape, or one that
            looks at data, such as `compression.pruning.criteria.Taylor(x, y)`; see `compression.Pruner`.
        pattern: "unstructured", "block" (1 x 4), "nm" (2 of 4), "channel" (whole filters and units, for
            `compression.shrink`), "head" (of attention), or an object; see `compression.Pruner`.
        scope: "layer" prunes the same fraction of every weight, "global" ranks all weights together.
        targets: None for all kernels, a list of layer paths, or a callable `(path, variable) -> bool`; see
            `compression.scope.select`.
        overrides: layers that end at a sparsity of their own, `{"conv1": 0.3}`; see `compression.Pruner`.
        log_dir: directory for TensorBoard: after each epoch, for each weight, the vectors "sparsity", "parameters_left"
            and "flops_left", their totals, "bytes/raw" and "sparsity/target" as scalars. Once, when training has ended,
            "bytes/gzipped", which takes a second for some 30 MB and core. See `tensorboard.write_sparsity`.
    Raises:
        ValueError: here or when `fit` begins, before the first step and with the weights untouched.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model.compile("sgd", "mse")
    >>> pruning = ka.callbacks.Pruning(ka.compression.ConstantSchedule(0.75))
    >>> history = model.fit(np.ones((8, 8)), np.ones((8, 4)), callbacks=[pruning], verbose=0)
    >>> pruning.report().sparsity
    0.75
    """

    def __init__(
        self,
        schedule: Schedule,
        criterion: str | Callable[[keras.Variable], Any] = "magnitude",
        pattern: str | Any = "unstructured",
        scope: str = "layer",
        targets: Targets = None,
        log_dir: str | os.PathLike[str] | None = None,
        overrides: Overrides = None,
    ) -> None:
        super().__init__()
        self.schedule = check_schedule(schedule)
        self.criterion = check_criterion(criterion)
        self.pattern = check_pattern(pattern)
        self.scope = check.one_of("scope", scope, SCOPES)
        self.targets = targets
        self.log_dir = log_dir
        self.overrides = overrides
        self._pruner: Pruner | None = None
        self._guard: GuardedStep | None = None
        self._writer: Any = None
        self._written: SparsityReport | None = None
        self._count: int | None = None
        self._ahead = 1

    def report(self, gzip: bool = True) -> SparsityReport:
        """Measure what is pruned now.

        Args:
            gzip: whether to compress all weights too, which takes a second for some 30 MB and core.
        Raises:
            ValueError: before the first `fit`.
        """
        if self._pruner is None:
            raise ValueError("report needs a model; this callback has not been in a fit. Pass it to model.fit first.")
        return self._pruner.report(gzip)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Check the arguments against the model and take the place of its training step."""
        self._close()
        self._count, self._written = None, None
        # TensorFlow builds a subclassed model in its first step.
        self._pruner = self._make_pruner() if self.model.built else None
        self._guard = GuardedStep(self.model, self._pruner, self._begin_late)
        if self.log_dir is not None:
            from keras_arch.tensorboard import EventWriter

            self._writer = EventWriter(self.log_dir)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Bring the masks to where the schedule wants them after the steps that begin now."""
        self._ahead = self._guard.model.steps_per_execution  # self.model would copy JAX's state back at every batch
        if self.params.get("steps"):
            self._ahead = max(1, min(self._ahead, self.params["steps"] - batch))
        if self._pruner is not None:
            self._update()
        self._guard.arm()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write what is left for TensorBoard."""
        if self._writer is None:
            return
        from keras_arch.tensorboard import write_sparsity

        model, targets = self.model, self._pruner.targets
        # FLOPs take a pass of the model, and do not change in a fit.
        known = self._written
        self._written = measure(model, targets, gzip=False) if known is None else recount(known, targets)
        step = self._steps(_batches(model.optimizer))
        write_sparsity(self._writer, self._written, step)
        self._writer.scalar("sparsity/target", self._pruner.sparsity, step)
        self._writer.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Give the model its training step back."""
        self._guard.remove()
        if self._pruner is not None:
            self._pruner.settle()
        if self._written is not None:
            model = self.model
            self._writer.scalar("bytes/gzipped", gzipped_bytes(model), self._steps(_batches(model.optimizer)))
        self._close()

    def _make_pruner(self) -> Pruner:
        model = self.model
        pruner = Pruner(model, self.schedule, self.criterion, self.pattern, self.scope, self.targets, self.overrides)
        # A compiled step can't read variables on JAX: only there are masks early when several steps are one execution.
        skips = innermost(model.optimizer) is not model.optimizer
        if keras.backend.backend() != "jax" and (skips or model.steps_per_execution > 1):
            pruner.foreseeing()
        return pruner

    def _begin_late(self) -> Pruner:
        self._pruner = self._make_pruner()
        self._update()
        return self._pruner

    def _update(self) -> None:
        # Counting here is an upper bound: the optimizer skips steps whose gradients are not finite.
        if self._count is None or self._pruner.due(self._steps(self._count + self._ahead)):
            self._count = _batches(self.model.optimizer)
            until = self._steps(self._count + self._ahead)
            if self._pruner.deadlines is None:
                self._pruner.update(until)
            else:
                self._pruner.foresee(self._steps(self._count), until)
        self._count += self._ahead

    def _steps(self, batches: int) -> int:
        return batches // (innermost(self._guard.model.optimizer).gradient_accumulation_steps or 1)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _batches(optimizer: keras.optimizers.Optimizer) -> int:
    """Batches the optimizer has seen: `iterations` before it is divided by the steps of gradient accumulation."""
    counter = next(variable for variable in innermost(optimizer).variables if variable.name == "iteration")
    return int(counter.numpy())
