"""The phases of a quantized model, and how all its layers change from one to the next."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.walk import walk

OBSERVE, CALIBRATE, QUANTIZE, FROZEN = "observe", "calibrate", "quantize", "frozen"
PHASES = (OBSERVE, CALIBRATE, QUANTIZE, FROZEN)


def quantized_layers(model: keras.Model) -> list[tuple[str, Any]]:
    """Every layer that `quantize` prepared, with its path; the model's order.

    >>> quantized_layers(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    []
    """
    return [(path, layer) for path, layer in walk(model) if hasattr(layer, "quantization_phase")]


def prepared_layers(model: keras.Model) -> list[tuple[str, Any]]:
    """`quantized_layers`, or the error that says how to get some.

    Raises:
        ValueError: if there are none.
    """
    layers = quantized_layers(model)
    if not layers:
        raise ValueError(
            f"model must be prepared for quantization; received model={model.name!r}, which has no quantized layer. "
            "Call q = keras_arch.compression.quantize(model) first, and train q."
        )
    return layers


def phase_of(model: keras.Model) -> str:
    """The phase that a prepared model is in.

    Raises:
        ValueError: if the model is not prepared, or its layers are in different phases.
    """
    phases = {layer.quantization_phase for _, layer in prepared_layers(model)}
    if len(phases) > 1:
        raise ValueError(
            f"model must be in one phase; received model={model.name!r}, whose layers are in {sorted(phases)}. "
            "Fit it with keras_arch.callbacks.QuantizationAwareTraining."
        )
    return phases.pop()


def require_ranges(model: keras.Model) -> None:
    """Raise unless every range of a prepared model was observed and is finite.

    Raises:
        ValueError: naming the layer whose range is missing, NaN or infinite.
    """
    for path, layer in prepared_layers(model):
        if layer.ranges and int(layer.batches) == 0:
            raise ValueError(
                f"model must have seen data before its ranges are used; layer {path!r} has seen none. "
                "Fit it with keras_arch.callbacks.QuantizationAwareTraining, or call "
                "keras_arch.compression.calibrate(model, samples)."
            )
        for name, step in ((name, learned.step) for name, learned in layer.learned.items()):
            if not np.isfinite(ops.convert_to_numpy(step)).all():
                raise ValueError(
                    f"learned steps must be finite; that of the {name} of layer {path!r} is not. "
                    "Look for a training that diverged."
                )
        for name, (low, high) in layer.ranges.items():
            ends = [float(ops.convert_to_numpy(end)) for end in (low, high)]
            if not all(math.isfinite(end) for end in ends):
                raise ValueError(
                    f"activations must be finite; the {name} of layer {path!r} ranged over [{ends[0]}, {ends[1]}]. "
                    "Look for NaN or infinite values in the data, or a training that diverged."
                )


def require_rounding(model: keras.Model) -> None:
    """Raise unless a prepared model computes with rounded values, over ranges that were observed.

    Raises:
        ValueError: for an unprepared or untrained model.
    """
    if phase_of(model) in (OBSERVE, CALIBRATE):
        raise check.refuse(
            "model",
            "must be trained for integers before it is exported",
            f"a model in the phase {phase_of(model)!r}",
            "Fit it with keras_arch.callbacks.QuantizationAwareTraining, or call keras_arch.compression.calibrate.",
        )
    require_ranges(model)


def set_phase(model: keras.Model, phase: str) -> None:
    """Put every layer of a prepared model into one phase.

    observe: float arithmetic, training records ranges.
    calibrate: float arithmetic, every call records ranges.
    quantize: fake-quantized arithmetic, training records ranges and updates batch-norm statistics.
    frozen: fake-quantized arithmetic, ranges and batch-norm statistics stay.

    Steps of a `LearnedStep` are trained in "quantize" alone. There those of activations start from what was observed.

    The phase is a Python value that a step is traced with, so the compiled steps of the model are made anew.

    Args:
        model: what `keras_arch.compression.quantize` returned.
        phase: one of the four.
    Raises:
        ValueError: for an unprepared model, or if a range that was never observed would be used: in
            "frozen", and by a learned step in "quantize".

    >>> q = ka.compression.quantize(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    >>> set_phase(q, "quantize")
    >>> phase_of(q)
    'quantize'
    """
    check.one_of("phase", phase, PHASES)
    layers = prepared_layers(model)
    steps = any(name in layer.learned for _, layer in layers for name in layer.ranges)
    if phase == FROZEN or (phase == QUANTIZE and steps):
        require_ranges(model)
    if all(layer.quantization_phase == phase for _, layer in layers):
        return
    for _, layer in layers:
        layer.enter(phase)
    if model.compiled:
        model.make_train_function(force=True)
        model.make_test_function(force=True)
    model.make_predict_function(force=True)
