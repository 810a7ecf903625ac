"""What is explained: one scalar per sample, picked out of a model's outputs."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core.check import describe


@dataclass(frozen=True, eq=False)
class Selection:
    """A target that has been checked against the shapes of a model's outputs.

    Attributes:
        path: keys and positions that lead to the output it reads, empty for a model with one output.
        kind: "predicted" (the class with the largest output), "index", "weights", "measure" or "function".
        value: None; int32 array (N, R) with one index per axis of the output; float32 array of the output's shape;
            float32 array (N, …), one row per sample, for `measure`; or the function. N: samples, R: axes of the output
            without the batch.
        measure: for that kind the hashable function from outputs and `value` to (N,).
    """

    path: tuple
    kind: str
    value: Any = None
    measure: Callable | None = None


def select(target: Any, outputs: Any, samples: int) -> tuple[Selection, ...]:
    """Check a target against the outputs of a model, before anything is computed.

    Args:
        target: None, the predicted class (the value itself for a head of one unit); an int; an integer array with one
            index per sample; a tuple, one index per axis of the output; a float array of weights shaped like the
            output, for one sample or for all; a function from the model's outputs to (N,); or, for several outputs, a
            dict or list with one of these per explained output, whose scores are summed (an output left out of the
            dict does not count; in a list, name every output). `MaskTarget` and `BoxTarget` are values of this
            package that know more than one index.
        outputs: structure of `keras.KerasTensor`, as `tap.survey` gives it.
        samples: N.
    Raises:
        ValueError: if the target does not single out one number per sample. It never guesses.

    >>> select(3, keras.KerasTensor((1, 10)), samples=2)[0].value.tolist()
    [[3], [3]]
    """
    return tuple(_select(target, outputs, samples, ()))


def _select(target: Any, outputs: Any, samples: int, path: tuple) -> list[Selection]:
    if hasattr(target, "selection"):
        return [target.selection(outputs, samples, path)]
    if callable(target):
        return [Selection(path, "function", target)]
    if isinstance(outputs, dict | list | tuple):
        return _several(target, outputs, samples, path)
    return [_one(target, tuple(outputs.shape)[1:], samples, path)]


def _several(target: Any, outputs: Any, samples: int, path: tuple) -> list[Selection]:
    names = list(outputs) if isinstance(outputs, dict) else list(range(len(outputs)))
    if isinstance(target, list) and not isinstance(outputs, dict) and len(target) == len(names):
        target = dict(enumerate(target))
    if not isinstance(target, dict) or not target or set(target) - set(names):
        raise ValueError(
            f"target must say which outputs count, because this model has several: {names}; "
            f"received target={describe(target)}. Pass for example target={{{names[0]!r}: 0}}, "
            f"or {{{names[0]!r}: None}} for the predicted class of that output."
        )
    return [part for name in target for part in _select(target[name], outputs[name], samples, (*path, name))]


def _one(target: Any, shape: tuple, samples: int, path: tuple) -> Selection:
    advice = (
        f"Pass a tuple of {len(shape)} indices such as {(0,) * len(shape)}, weights of shape {shape}, "
        "or a function from the outputs to one number per sample."
    )
    if target is None:
        if len(shape) > 1:
            raise ValueError(
                f"target must be given for an output of shape {shape} per sample: it has no one predicted class; "
                f"received target=None. {advice}"
            )
        return Selection(path, "predicted")
    if isinstance(target, tuple):
        return Selection(path, "index", _indices(np.asarray(target)[None], shape, samples, target, advice))
    array = np.asarray(target)
    if array.dtype.kind in "iu":
        index = array.reshape(-1, 1) if array.ndim < 2 else array
        return Selection(path, "index", _indices(index, shape, samples, target, advice))
    if array.dtype.kind != "f" or array.shape not in (shape, (samples, *shape)) or not np.isfinite(array).all():
        raise ValueError(
            f"target must be None, an int, {samples} ints, a tuple of indices, finite float weights of shape {shape} "
            f"or {(samples, *shape)}, or a function; received target={_named(target)}. {advice}"
        )
    return Selection(path, "weights", np.broadcast_to(array.astype("float32"), (samples, *shape)))


def _indices(index: np.ndarray, shape: tuple, samples: int, target: Any, advice: str) -> np.ndarray:
    if index.ndim != 2 or index.shape[1] != len(shape) or index.dtype.kind not in "iu":
        raise ValueError(
            f"target must give one index for each of the {len(shape)} axes of an output of shape {shape} per sample; "
            f"received target={_named(target)}. {advice}"
        )
    if index.shape[0] not in (1, samples):
        raise ValueError(
            f"target must hold one index per sample, {samples} in all; received {index.shape[0]}. "
            "Pass one int for all samples, or as many as there are samples."
        )
    for axis, size in enumerate(shape):
        if size is not None and not ((index[:, axis] >= 0) & (index[:, axis] < size)).all():
            raise ValueError(
                f"target must lie within 0..{size - 1} on axis {axis} of the output (shape {shape} per sample); "
                f"received target={_named(target)}. Choose an index below {size}."
            )
    return np.broadcast_to(index.astype("int32"), (samples, len(shape)))


def _named(target: Any) -> str:
    return f"an array of shape {target.shape}" if getattr(target, "shape", ()) else describe(target)


def score(selections: tuple[Selection, ...], values: list, outputs: Any) -> Any:
    """Read the selected scalars out of a model's outputs, summed over the selections.

    Args:
        selections: from `select`; their own values are not read, so that a compiled function serves every class.
        values: for each selection the tensor (or function) that stands in for its value, None for "predicted".
        outputs: structure of tensors.
    Returns:
        float32 tensor (N,).
    """
    total = 0.0
    for selection, value in zip(selections, values, strict=True):
        output = outputs
        for key in selection.path:
            output = output[key]
        if selection.kind == "measure":
            value = functools.partial(selection.measure, value)
        total = total + _score(selection.kind, value, output)
    return total


def _score(kind: str, value: Any, output: Any) -> Any:
    if kind in ("function", "measure"):
        return _of_function(value, output)
    output = ops.cast(output, "float32")
    if kind == "weights":
        return ops.sum(ops.reshape(ops.multiply(output, value), (ops.shape(output)[0], -1)), axis=-1)
    flat = ops.reshape(output, (ops.shape(output)[0], -1))  # (N, product of the axes)
    if kind == "predicted":
        index = ops.argmax(flat, axis=-1)
    else:
        strides = np.append(np.cumprod(tuple(output.shape)[:1:-1])[::-1], 1).astype("int32")[: len(output.shape) - 1]
        index = ops.sum(ops.multiply(value, strides), axis=-1)  # (N,)
    return ops.take_along_axis(flat, ops.expand_dims(index, -1), axis=-1)[:, 0]


def _of_function(function: Callable, outputs: Any) -> Any:
    result = function(outputs)
    samples = keras.tree.flatten(outputs)[0].shape[0]
    if not hasattr(result, "shape") or tuple(result.shape) != (samples,):
        shape = tuple(result.shape) if hasattr(result, "shape") else describe(result)
        raise ValueError(
            f"target must, as a function, return one number per sample, shape ({samples},); it returned {shape}. "
            "Reduce every axis but the first, for example keras.ops.sum(output, axis=-1)."
        )
    return ops.cast(result, "float32")


def settle(selections: tuple[Selection, ...], outputs: Any) -> tuple[Selection, ...]:
    """Replace "predicted" by the index that was predicted, so that it stays fixed along a path.

    Args:
        selections: from `select`.
        outputs: structure of NumPy arrays, the model's outputs for the samples.
    """
    return tuple(_settle(selection, outputs) for selection in selections)


def _settle(selection: Selection, outputs: Any) -> Selection:
    if selection.kind != "predicted":
        return selection
    for key in selection.path:
        outputs = outputs[key]
    if outputs.ndim == 1:
        return Selection(selection.path, "index", np.zeros((len(outputs), 0), "int32"))
    return Selection(selection.path, "index", outputs.argmax(-1)[:, None].astype("int32"))


def record(selections: tuple[Selection, ...]) -> Any:
    """Say what was explained, as `Attribution.target` stores it: arrays, or the name of a function.

    One class index per sample, shape (N,), for an output of rank 2; a dict of such for several outputs.

    >>> record(select((1, 2), keras.KerasTensor((1, 4, 4)), samples=1)).tolist()
    [[1, 2]]
    """
    if selections[0].path == ():
        return _record(selections[0])
    return {"/".join(map(str, selection.path)): _record(selection) for selection in selections}


def _record(selection: Selection) -> Any:
    if selection.kind == "function":
        return getattr(selection.value, "__qualname__", type(selection.value).__qualname__)
    if selection.kind == "measure" and not selection.value.size:
        return repr(selection.measure)
    if selection.kind == "index" and selection.value.shape[1] == 1:
        return np.array(selection.value[:, 0])
    return np.array(selection.value)
