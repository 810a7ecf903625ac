"""The stages of the demo: each trains, shrinks or explains something, and writes what it made and measured."""

import dataclasses
import gzip
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_arch import callbacks, compression, explain, plots
from keras_arch.cli.demo import models
from keras_arch.cli.demo.data import Digits
from keras_arch.cli.demo.screen import Screen

SPARSITY = 0.8
EXPLAINED = 64
SHOWN = 5


@dataclasses.dataclass
class Run:
    """What the stages share.

    out: folder written; epochs: of training; digits: the data; figures: what was measured so far, ready for JSON;
    screen: where progress goes; models: the models made so far, by name.
    """

    out: Path
    epochs: int
    digits: Digits
    figures: dict[str, Any]
    screen: Screen
    models: dict[str, keras.Model] = dataclasses.field(default_factory=dict)

    def file(self, name: str) -> Path:
        """Path of a file the run writes, noted in the figures."""
        if name not in self.figures["files"]:
            self.figures["files"].append(name)
        return self.out / name

    def log_dir(self, name: str) -> str:
        """Folder of one run for TensorBoard."""
        return str(self.out / "logs" / name)

    def keep(self, name: str, model: keras.Model) -> None:
        """Remember a model and save it."""
        self.models[name] = model
        model.save(self.file(f"{name}.keras"))


def fit(
    run: Run, model: keras.Model, epochs: int, learning_rate: float, extra: Sequence[keras.callbacks.Callback]
) -> None:
    """Compile and fit a model of logits with AdamW and a cosine decay of the learning rate to zero."""
    steps = epochs * steps_per_epoch(run)
    decay = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(decay, weight_decay=0.01), loss, metrics=["accuracy"])
    model.fit(run.digits.x, run.digits.y, batch_size=64, epochs=epochs, verbose=0, callbacks=list(extra))


def steps_per_epoch(run: Run) -> int:
    """Optimizer steps of one epoch at 64 images a batch."""
    return math.ceil(len(run.digits.x) / 64)


def accuracy(run: Run, model: keras.Model) -> float:
    """Share of the test digits a model names right."""
    logits = model.predict(run.digits.x_test, batch_size=len(run.digits.x_test), verbose=0)
    return share_right(run, logits)


def share_right(run: Run, logits: np.ndarray) -> float:
    """Share of the test digits whose largest logit is the right one."""
    return float(np.mean(np.argmax(logits, axis=-1) == run.digits.y_test))


def file_bytes(path: Path) -> dict[str, int]:
    """Size of a file, raw and gzipped, in bytes."""
    content = path.read_bytes()
    return {"raw": len(content), "gzipped": len(gzip.compress(content, 9))}


def export_float(run: Run, model: keras.Model, name: str) -> None:
    """Export a model to a float LiteRT file and note its size."""
    path = run.file(f"{name}.tflite")
    model.export(str(path), format="litert", verbose=False)
    run.figures["bytes"][name] = file_bytes(path)


def train_cnn(run: Run) -> None:
    """Train the CNN, watching Grad-CAM of eight test digits in TensorBoard."""
    model = models.convolutional()
    logs = run.log_dir("cnn")
    watched = {"samples": run.digits.x_test[:8], "target": run.digits.y_test[:8]}
    watch = callbacks.Explanations([explain.GradCAM()], **watched, log_dir=logs, every=5)
    with run.screen.stage("CNN", run.epochs) as stage:
        fit(run, model, run.epochs, 3e-3, [stage.callback(), keras.callbacks.TensorBoard(logs), watch])
        run.figures["float_accuracy"] = accuracy(run, model)
        run.keep("cnn", model)
        export_float(run, model, "float")
        run.figures["sparsities"]["float"] = compression.sparsity_report(model).sparsity
        stage.note = f"test accuracy {run.figures['float_accuracy']:.4f}"


def train_transformer(run: Run) -> None:
    """Train the Transformer over image rows."""
    _train(run, "transformer", "Transformer over rows", models.transformer(), 2e-3)


def train_recurrent(run: Run) -> None:
    """Train the layer-normalized LSTM over image rows."""
    _train(run, "recurrent", "LayerNormLSTM over rows", models.recurrent(), 5e-3)


def _train(run: Run, name: str, title: str, model: keras.Model, learning_rate: float) -> None:
    with run.screen.stage(title, run.epochs) as stage:
        fit(run, model, run.epochs, learning_rate, [stage.callback(), keras.callbacks.TensorBoard(run.log_dir(name))])
        run.figures[f"{name}_accuracy"] = accuracy(run, model)
        run.keep(name, model)
        stage.note = f"test accuracy {run.figures[f'{name}_accuracy']:.4f}"


def prune(run: Run) -> None:
    """Prune a copy of the CNN to 80 % while it is fine-tuned; the sparsity curve goes to TensorBoard."""
    model = keras.models.clone_model(run.models["cnn"])
    model.set_weights(run.models["cnn"].get_weights())
    epochs = run.epochs
    steps = epochs * steps_per_epoch(run)
    schedule = compression.PolynomialSchedule(0.0, SPARSITY, begin_step=0, end_step=steps // 2, every=steps // 40 or 1)
    pruning = callbacks.Pruning(schedule, scope="global", log_dir=run.log_dir("pruning"))
    with run.screen.stage("Pruning to 80 %", epochs) as stage:
        fit(run, model, epochs, 2e-3, [stage.callback(), pruning])
        report = pruning.report()
        run.figures["pruned_accuracy"] = accuracy(run, model)
        run.figures["sparsity"] = run.figures["sparsities"]["pruned"] = report.sparsity
        run.figures["pruning"] = report.to_dict()
        run.keep("pruned", model)
        export_float(run, model, "pruned")
        plots.sparsity(report).figure.savefig(run.file("sparsity.png"), dpi=120)
        stage.note = f"test accuracy {run.figures['pruned_accuracy']:.4f}, sparsity {report.sparsity:.4f}"


def quantize(run: Run) -> None:
    """Quantize the pruned CNN to int8 in training, its zeros kept, and export and check the LiteRT file."""
    model = compression.quantize(run.models["pruned"], weights=8, activations=8)
    epochs = max(3, round(0.3 * run.epochs))
    training = callbacks.QuantizationAwareTraining(
        quantize_at=1, freeze_at=epochs - 1, log_dir=run.log_dir("quantization")
    )
    keep_zeros = callbacks.Pruning(compression.ConstantSchedule(SPARSITY), scope="global")
    with run.screen.stage("Quantization-aware training", epochs) as stage:
        fit(run, model, epochs, 3e-4, [stage.callback(), keep_zeros, training])
        run.keep("quantized", model)
        path = run.file("int8.tflite")
        report = compression.export_litert(model, path, samples=run.digits.x_test)
        logits = compression.run_litert(path, run.digits.x_test)
        run.figures["int8_accuracy"] = share_right(run, logits)
        run.figures["litert_gap_steps"] = report.gap_steps
        run.figures["quantization"] = report.to_dict()
        run.figures["sparsities"]["int8"] = keep_zeros.report().sparsity
        run.figures["bytes"]["int8"] = file_bytes(path)
        stage.note = f"LiteRT test accuracy {run.figures['int8_accuracy']:.4f}, gap {report.gap_steps:.2f} steps"


def explain_digits(run: Run) -> None:
    """Explain test digits by Grad-CAM and integrated gradients, and draw five of different classes."""
    one_a_class = [int(np.flatnonzero(run.digits.y_test == digit)[0]) for digit in range(models.CLASSES)]
    images = np.concatenate([run.digits.x_test[one_a_class], run.digits.x_test[:EXPLAINED]])
    with run.screen.stage("Explanations") as stage:
        maps = explain.GradCAM().explain(run.models["cnn"], images)
        gradients = explain.IntegratedGradients(steps=200).explain(run.models["cnn"], images)
        run.figures["completeness_error"] = float(np.max(gradients.completeness_error))
        plots.gallery([maps, gradients], max_samples=SHOWN).savefig(run.file("explanations.png"), dpi=120)
        stage.note = f"completeness error {run.figures['completeness_error']:.2e} at most over {len(images)} digits"


STAGES: dict[str, Callable[[Run], None]] = {
    "cnn": train_cnn,
    "transformer": train_transformer,
    "recurrent": train_recurrent,
    "pruning": prune,
    "quantization": quantize,
    "explanations": explain_digits,
}
"""Stage by name, in the order they run."""
