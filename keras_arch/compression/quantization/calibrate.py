"""Post-training quantization: ranges from samples, no training."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.compression.graph import inputs_of
from keras_arch.compression.quantization.phase import CALIBRATE, FROZEN, phase_of, prepared_layers, set_phase
from keras_arch.core import check


def calibrate(model: keras.Model, samples: Any, batch_size: int = 32) -> keras.Model:
    """Measure the ranges of a prepared model on samples and freeze it: post-training quantization.

    The samples are split evenly into as few batches as `batch_size` allows. Each batch counts alike, in whatever order
    they come: the ranges of `MovingAverage` are the means over the batches. Ranges seen before are forgotten.

    Args:
        model: what `keras_arch.compression.quantize` returned; it is changed in place.
        samples: array (N, ...), or a list or dict of arrays as the model takes them, N >= 1; finite.
        batch_size: most samples in one forward pass.
    Returns:
        `model`, in the phase "frozen".
    Raises:
        ValueError: for an unprepared model, or samples that are empty, of another shape, NaN or infinite.
    Source: Krishnamoorthi 2018, arXiv:1806.08342.

    >>> q = ka.compression.quantize(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    >>> ka.compression.calibrate(q, np.ones((8, 3))).layers[0].quantization_phase
    'frozen'
    """
    before = phase_of(model)
    arrays, count = as_samples(model, samples)
    check.integer("batch_size", batch_size)
    batches = -(-count // batch_size)
    set_phase(model, CALIBRATE)
    observed = [weight for _, layer in prepared_layers(model) for weight in _observed(layer)]
    kept = [ops.convert_to_numpy(weight).copy() for weight in observed]
    try:
        for weight in observed:
            weight.assign(ops.zeros(weight.shape, weight.dtype))
        for parts in zip(*(np.array_split(array, batches) for array in arrays), strict=True):
            model(keras.tree.pack_sequence_as(inputs_of(model), list(parts)), training=False)
        set_phase(model, FROZEN)
    except BaseException:
        for weight, value in zip(observed, kept, strict=True):
            weight.assign(value)
        set_phase(model, before)
        raise
    return model


def _observed(layer: Any) -> list[keras.Variable]:
    """The weights of a quantized layer that say what it saw."""
    return [layer.batches, *(end for ends in layer.ranges.values() for end in ends)]


def as_samples(model: keras.Model, samples: Any) -> tuple[list[np.ndarray], int]:
    """Check samples against a model's inputs.

    Args:
        model: a Sequential or functional model.
        samples: an array, or a structure of arrays like the model's inputs.
    Returns:
        (one float32 or integer array for each input, number of samples).
    Raises:
        ValueError: if they are empty, of another shape or number, NaN or infinite.

    >>> arrays, count = as_samples(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), [[1, 2], [3, 4]])
    >>> arrays[0].dtype.name, count
    ('float32', 2)
    """
    inputs = keras.tree.flatten(inputs_of(model))
    single = len(inputs) == 1 and not isinstance(samples, dict)
    if isinstance(samples, dict):
        # Flattened, a dict is in the order of its sorted keys.
        names = sorted(inputs_of(model)) if isinstance(inputs_of(model), dict) else [tensor.name for tensor in inputs]
        if set(names) != set(samples):
            raise check.refuse("samples", f"must have the keys {names}", sorted(samples), "Name every input once.")
        samples = [samples[name] for name in names]
    arrays = [np.asarray(samples)] if single else [np.asarray(part) for part in samples]
    if len(arrays) != len(inputs):
        raise check.refuse("samples", f"must be {len(inputs)} arrays", len(arrays), "Pass one array for each input.")
    counts = {array.shape[0] if array.ndim else 0 for array in arrays}
    if len(counts) > 1 or 0 in counts:
        raise check.refuse(
            "samples", "must hold at least one sample, as many for each input", sorted(counts), "Pass x_train[:100]."
        )
    for i, (array, tensor) in enumerate(zip(arrays, inputs, strict=True)):
        expected = tuple(tensor.shape[1:])
        fits = len(expected) == array.ndim - 1
        fits = fits and all(want in (None, size) for want, size in zip(expected, array.shape[1:], strict=True))
        if not fits:
            raise check.refuse(
                "samples", f"must have the shape (N, {', '.join(map(str, expected))})", array.shape, "Reshape them."
            )
        if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
            raise check.refuse("samples", "must be numbers", str(array.dtype), "Encode them as numbers first.")
        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
            arrays[i] = array.astype(tensor.dtype)
        if not np.isfinite(arrays[i]).all():
            raise check.refuse("samples", "must be finite", "NaN or infinite values", "Clean the data first.")
    return arrays, counts.pop()
