"""What pruning left of a model, for TensorBoard."""

import math
from typing import TYPE_CHECKING

from keras_arch.tensorboard.writer import EventWriter

if TYPE_CHECKING:
    from keras_arch.compression.report import SparsityReport


def write_sparsity(writer: EventWriter, report: "SparsityReport", step: int) -> None:
    """Write a `SparsityReport` at one step; `callbacks.Pruning(log_dir=...)` does it after each epoch.

    The Compression tab shows the vectors "sparsity", "parameters_left" and "flops_left", one number for each row; the
    Scalars page "sparsity/total", "parameters_left/total" and "bytes/raw" of all weights, "flops_left/total", and
    "bytes/gzipped" if the report counted them. A row whose FLOPs are not known is NaN; where none are known, there is
    nothing of them.

    Args:
        writer: of the run's directory.
        report: with the same rows at every step of a directory.
        step: number of the training step, >= 0.
    Raises:
        ValueError: if the rows are others than before.

    >>> import tempfile
    >>> from keras_arch.tensorboard import EventWriter, write_sparsity
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> pruner = ka.compression.Pruner(model, ka.compression.ConstantSchedule(0.75))
    >>> with pruner.hold(), EventWriter(tempfile.mkdtemp()) as writer:
    ...     for step in range(3):
    ...         _ = pruner.update(step)
    ...         model.optimizer.apply([keras.ops.ones((8, 4)), keras.ops.ones(4)], model.trainable_variables)
    ...         write_sparsity(writer, pruner.report(gzip=False), step + 1)
    """
    rows = report.layers
    names = [f"{row.path}/{row.weight}" for row in rows]
    writer.vector("sparsity", [row.sparsity for row in rows], names, step)
    writer.vector("parameters_left", [row.parameters_left for row in rows], names, step, unit="parameters")
    flops = [math.nan if row.flops_left is None else row.flops_left for row in rows]
    if not all(map(math.isnan, flops)):
        writer.vector("flops_left", flops, names, step, unit="FLOPs")
        writer.scalar("flops_left/total", report.flops_left, step)
    writer.scalar("sparsity/total", report.sparsity, step)
    writer.scalar("parameters_left/total", report.parameters_left, step)
    writer.scalar("bytes/raw", report.bytes_raw, step)
    if report.bytes_gzip is not None:
        writer.scalar("bytes/gzipped", report.bytes_gzip, step)
