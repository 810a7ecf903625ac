"""Export to LiteRT: the checks before, the temporary file, and the one door to TensorFlow."""

import os
import pathlib
import tempfile
from typing import Any

import keras

from keras_arch.compression.quantization.calibrate import as_samples
from keras_arch.compression.quantization.measure import measure
from keras_arch.compression.quantization.phase import CALIBRATE, OBSERVE, phase_of, prepared_layers, require_ranges
from keras_arch.compression.quantization_report import QuantizationReport
from keras_arch.core import check


def export_litert(model: keras.Model, path: str | os.PathLike[str], samples: Any) -> QuantizationReport:
    """Write a trained quantized model as an integer LiteRT file, read it back and run it beside Keras.

    The file takes and gives float32 at a fixed batch of 1 and computes in int8 between. It replaces a file at `path`
    only when every check has passed.

    Args:
        model: what `keras_arch.compression.quantize` returned, after training or `calibrate`; activations of 8 bits.
        path: where to write, such as "model.tflite"; the folder must exist.
        samples: array (N, ...), or a list or dict of arrays as the model takes them, N >= 1, to compare on.
    Returns:
        The report: the figures of every layer, and those of the file.
    Raises:
        ValueError: for an unprepared or untrained model, other bits, an unsuitable path, or samples that are empty, of
            another shape, NaN or infinite.
        RuntimeError: if the converter fails, or the file is not all integer where it should be.
        OSError: if `path` cannot be written.

    >>> import tempfile, os
    >>> q = ka.compression.quantize(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
    >>> x = np.random.default_rng(0).normal(size=(20, 4))
    >>> _ = ka.compression.calibrate(q, x)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = ka.compression.export_litert(q, os.path.join(folder, "model.tflite"), samples=x)
    >>> report.all_int8, report.gap_steps < 1.01
    (True, True)
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"export_litert needs the TensorFlow backend; Keras runs on {keras.backend.backend()!r}. "
            "Save the model, and load it with KERAS_BACKEND=tensorflow."
        )
    if phase_of(model) in (OBSERVE, CALIBRATE):
        raise check.refuse(
            "model",
            "must be trained for integers before it is exported",
            f"a model in the phase {phase_of(model)!r}",
            "Fit it with keras_arch.callbacks.QuantizationAwareTraining, or call keras_arch.compression.calibrate.",
        )
    require_ranges(model)
    _require_int8_activations(model)
    arrays, _ = as_samples(model, samples)
    target = pathlib.Path(path)
    if target.is_dir():
        raise check.refuse("path", "must name a file", str(target), 'Add a name such as "model.tflite".')
    if not target.parent.is_dir():
        raise check.refuse("path", "must be in a folder that exists", str(target), "Create the folder first.")
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    try:
        # The door to TensorFlow opens only here.
        from keras_arch.compression.quantization import litert

        content = litert.convert(model)
        file = litert.examine(model, content, arrays, str(target))
        pathlib.Path(temporary).write_bytes(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    finally:
        pathlib.Path(temporary).unlink(missing_ok=True)
    return QuantizationReport(measure(model).layers, file)


def _require_int8_activations(model: keras.Model) -> None:
    for path, layer in prepared_layers(model):
        bits = layer.activations_scheme.bits
        if bits != 8:
            raise ValueError(
                f"activations must have 8 bits to be exported; layer {path!r} has {bits}. "
                "Train with quantize(model, weights=..., activations=8)."
            )


def _umask() -> int:
    """The process's mask for new files, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
