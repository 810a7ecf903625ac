"""Running LiteRT files on samples, whoever wrote them."""

import os
import pathlib
from typing import Any

import keras
import numpy as np

from keras_arch.core import check


def run_litert(path: str | os.PathLike[str], samples: Any) -> np.ndarray | dict[str, np.ndarray]:
    """Compute a LiteRT file's outputs for samples, one sample a call, as a device would.

    Args:
        path: a LiteRT (.tflite) file with a signature, from `export_litert` or `model.export(format="litert")`.
        samples: array (N, ...), N >= 1, for a file of one input; dict of input name to array for several.
    Returns:
        Array (N, ...) of the file's output dtype for one output; dict of output name to array for several.
    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no LiteRT file, or the samples don't fit its inputs.
        RuntimeError: on another backend than TensorFlow.

    >>> import os, tempfile
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.tflite")
    >>> _ = model.export(path, format="litert", verbose=False)
    >>> ka.compression.run_litert(path, np.ones((5, 4))).shape
    (5, 3)
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"run_litert needs the TensorFlow backend; Keras runs on {keras.backend.backend()!r}. "
            "Set KERAS_BACKEND=tensorflow."
        )
    content = pathlib.Path(path).read_bytes()
    if content[4:8] != b"TFL3":  # the identifier of the file format, after the root offset
        raise ValueError(f"path must name a LiteRT file; received path={os.fspath(path)!r}, which is none.")
    # The door to TensorFlow opens only here.
    from keras_arch.compression.quantization import litert

    inputs = litert.inputs_of(content)
    given = samples if isinstance(samples, dict) else dict.fromkeys(list(inputs)[:1], samples)
    if set(given) != set(inputs):
        raise check.refuse(
            "samples", f"must hold an array for each of {sorted(inputs)}", sorted(given), "Pass a dict by these names."
        )
    arrays = {name: np.asarray(given[name]) for name in inputs}
    for name, (shape, dtype) in inputs.items():
        if arrays[name].ndim != len(shape) or arrays[name].shape[1:] != shape[1:] or not len(arrays[name]):
            raise ValueError(
                f"samples must have shape (N, {', '.join(map(str, shape[1:]))}), N >= 1, for the input {name!r}; "
                f"received shape {arrays[name].shape}. Add the batch axis, or resize."
            )
        arrays[name] = arrays[name].astype(dtype, copy=False)
    if len({len(array) for array in arrays.values()}) != 1:
        lengths = {name: len(array) for name, array in arrays.items()}
        raise check.refuse("samples", "must hold equally many samples for each input", lengths, "Cut them alike.")
    outputs = litert.run_file(content, arrays)
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs
