"""Export to LiteRT: the checks before, and the one door to TensorFlow."""

import os
from typing import Any

import keras

from keras_arch.compression.quantization.calibrate import as_samples
from keras_arch.compression.quantization.exportable import require_exportable
from keras_arch.compression.quantization.measure import measure
from keras_arch.compression.quantization.modes import mode_of
from keras_arch.compression.quantization.phase import require_rounding
from keras_arch.compression.quantization.replaced import replaced
from keras_arch.compression.quantization_report import QuantizationReport
from keras_arch.core import check


def export_litert(
    model: keras.Model,
    path: str | os.PathLike[str],
    samples: Any,
    mode: str | None = None,
    batch_size: int = 1,
) -> QuantizationReport:
    """Write a model as a LiteRT file, read it back, check its types and run it beside Keras.

    A quantized model becomes an integer file; its schemes say which:

    * weights=8, activations=8: int8 kernels and tensors ("w8a8");
    * weights=4, activations=8: int4 kernels, int8 tensors ("w4a8");
    * weights=8, activations=16: int8 kernels, int16 tensors ("w8a16").

    Weights of 2 and 3 bits are stored as int4, those of 5, 6 and 7 as int8, on the grid that they were trained on.
    LiteRT has no other activations. At 16 bits softmax, sigmoid and tanh must stay in float, and depthwise kernels need
    more than 4 bits.

    A float model becomes what `mode` says:

    * "float32": as it is;
    * "float16": kernels in 16 bits, arithmetic in 32;
    * "dynamic": kernels of 1024 values or more in int8 with one range a channel, all else in float32.

    The file takes and gives float32 at a fixed batch size. It replaces a file at `path` only when every check has
    passed; a file with a kernel or tensor of another type than asked for is refused.

    Args:
        model: what `keras_arch.compression.quantize` returned, after training or `calibrate`; or a float model.
        path: where to write, such as "model.tflite"; the folder must exist.
        samples: array (N, ...), or a list or dict of arrays as the model takes them, N >= 1, to compare on.
        mode: None for a quantized model; "float32", "float16" or "dynamic" for a float one.
        batch_size: samples that the file takes in one call.
    Returns:
        The report: the figures of every layer, none for a float model, and those of the file.
    Raises:
        ValueError: for an untrained model, bits that no file has, a mode that does not fit, an unsuitable path, or
            samples that are empty, of another shape, NaN or infinite.
        RuntimeError: if the converter fails, or the file is not what was asked for.
        OSError: if `path` cannot be written; known before the conversion.

    >>> import tempfile, os
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> x = np.random.default_rng(0).normal(size=(20, 4))
    >>> q = ka.compression.calibrate(ka.compression.quantize(model), x)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = ka.compression.export_litert(q, os.path.join(folder, "int8.tflite"), samples=x)
    ...     half = ka.compression.export_litert(model, os.path.join(folder, "half.tflite"), samples=x, mode="float16")
    >>> report.file.mode, report.all_int8, report.gap_steps < 1.01
    ('w8a8', True, True)
    >>> half.file.kernel_types, half.file.outputs[0].relative_difference < 1e-3
    ({'float16': 1}, True)
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"export_litert needs the TensorFlow backend; Keras runs on {keras.backend.backend()!r}. "
            "Save the model, and load it with KERAS_BACKEND=tensorflow."
        )
    if mode is None:
        require_rounding(model)
        require_exportable(model)
    asked = mode_of(model, mode)
    check.integer("batch_size", batch_size)
    arrays, _ = as_samples(model, samples)
    with replaced(path) as temporary:
        # The door to TensorFlow opens only here.
        from keras_arch.compression.quantization import litert
        from keras_arch.compression.quantization.examine import examine

        content = litert.convert(model, asked, batch_size)
        file = examine(model, content, arrays, os.fspath(path), asked)
        temporary.write_bytes(content)
    return QuantizationReport(measure(model).layers if asked.integer else (), file)
