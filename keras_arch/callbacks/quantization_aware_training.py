"""Quantization-aware training: the phases of a quantized model, driven by the epochs of `fit`."""

import os
from typing import Any

import keras

from keras_arch.compression.quantization.measure import measure
from keras_arch.compression.quantization.phase import FROZEN, OBSERVE, QUANTIZE, prepared_layers, set_phase
from keras_arch.compression.quantization_report import QuantizationReport
from keras_arch.core import check


class QuantizationAwareTraining(keras.callbacks.Callback):
    """Train a quantized model: observe ranges in float, then train on rounded values, then freeze the ranges.

    epoch < quantize_at: "observe", float arithmetic, ranges are recorded;
    quantize_at <= epoch < freeze_at: "quantize", rounded kernels and activations, ranges move on;
    freeze_at <= epoch: "frozen", ranges and batch-norm statistics stay, kernels and biases still learn.

    The epoch is the number `fit` gives it, so `fit(initial_epoch=...)` continues where it left off. Whenever `fit` ends
    the model is frozen and ready to export, also when it ends before `freeze_at`. A later `fit` without this callback
    trains the frozen model.

    Args:
        quantize_at: first epoch with rounded values, >= 0.
        freeze_at: first epoch with frozen ranges, above `quantize_at`.
        log_dir: folder for TensorBoard; every epoch writes there, for each layer, the bits, signal-to-noise ratio, mean
            squared error and saturation of its kernels, and the width of its output's range. None writes nothing.
    Raises:
        ValueError: for epochs that are negative or out of order; in `fit`, for a model that
            `keras_arch.compression.quantize` did not prepare.

    Metrics of epochs before `quantize_at` are those of float arithmetic: choose a best epoch among the later ones.
    Source: Jacob et al. 2018, arXiv:1712.05877, section 3.1.

    >>> q = ka.compression.quantize(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))
    >>> q.compile("sgd", "mse")
    >>> x = np.ones((8, 3))
    >>> training = ka.callbacks.QuantizationAwareTraining(quantize_at=1, freeze_at=2)
    >>> _ = q.fit(x, x[:, :1], epochs=3, verbose=0, callbacks=[training])
    >>> training.report().layers[0].weight_bits
    8
    """

    def __init__(self, quantize_at: int = 1, freeze_at: int = 4, log_dir: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.quantize_at = check.integer("quantize_at", quantize_at, minimum=0)
        self.freeze_at = check.integer("freeze_at", freeze_at, minimum=self.quantize_at + 1)
        self.log_dir = log_dir
        self._writer = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Refuse a model that is not prepared; open the log."""
        prepared_layers(self.model)
        if self.log_dir is not None:
            from keras_arch.tensorboard import EventWriter

            self._writer = EventWriter(self.log_dir)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Enter the epoch's phase."""
        observes, quantizes = epoch < self.quantize_at, epoch < self.freeze_at
        set_phase(self.model, OBSERVE if observes else QUANTIZE if quantizes else FROZEN)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the epoch's figures."""
        if self._writer is None:
            return
        rows = self.report().layers
        for tag in ("weight_bits", "sqnr_db", "mean_squared_error", "saturation"):
            self._write(tag, [(row.path, getattr(row, tag)) for row in rows if row.weight_bits is not None], epoch)
        self._write("range_width", [(row.path, row.high - row.low) for row in rows if row.low is not None], epoch)
        self._writer.flush()

    def _write(self, tag: str, figures: list[tuple[str, float]], epoch: int) -> None:
        if figures:
            names, values = zip(*figures, strict=True)
            self._writer.vector(f"quantization/{tag}", values, names, epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Freeze, and close the log."""
        try:
            set_phase(self.model, FROZEN)
        finally:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def report(self) -> QuantizationReport:
        """The figures of every layer as they are now.

        Raises:
            ValueError: before the first `fit`.
        """
        if self.model is None:
            raise ValueError(
                "report needs a model; this callback saw no fit yet. Pass it to q.fit(callbacks=[training])."
            )
        return measure(self.model)
