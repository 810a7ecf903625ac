"""Measuring a model again and again while something in it is changed."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_arch.core import check

# What the words of a metric's name say. Keras's own names are made of these.
_HIGHER_IS_BETTER = {"acc", "accuracy", "auc", "correlation", "f1", "fbeta", "io", "iou", "precision", "r2", "recall"}
_HIGHER_IS_BETTER |= {"score", "sensitivity", "similarity", "specificity"}
_LOWER_IS_BETTER = {"crossentropy", "divergence", "error", "hinge", "logcosh", "loss", "mae", "mape", "mse", "msle"}
_LOWER_IS_BETTER |= {"perplexity", "poisson", "rmse"}


def check_verbose(verbose: Any) -> None:
    """Raise unless `verbose` is 0, 1 or "auto".

    >>> check_verbose("auto")
    """
    if isinstance(verbose, bool) or verbose not in (0, 1, "auto"):
        raise check.refuse("verbose", "must be 0, 1 or 'auto'", verbose, "Pass 0 for silence.")


def progress(count: int, verbose: int | str) -> keras.utils.Progbar:
    """A bar of so many measurements, silent for `verbose` 0.

    >>> progress(3, verbose=0).target
    3
    """
    return keras.utils.Progbar(count, verbose=int(verbose != 0), unit_name="measurement")


def measurement(model: keras.Model, measure: Any, data: Mapping[str, Any]) -> Callable[[], Any]:
    """What is called for each measurement of a model.

    Args:
        model: the model that is measured.
        measure: callable model -> number, or dict from names to numbers; None is `model.evaluate`.
        data: arguments of `model.evaluate`, without those that are None.
    Returns:
        Function without arguments.
    Raises:
        ValueError: for a model that is not compiled, data that cannot be read again, or data beside a `measure`.

    >>> measurement(keras.Sequential([keras.Input((1,))]), lambda model: len(model.layers), {})()
    0
    """
    if measure is None:
        if not model.compiled:
            advice = "Call model.compile(loss=..., metrics=[...]), or pass a measure."
            raise check.refuse("model", "must be compiled to be evaluated", model, advice)
        if "x" not in data:
            raise check.refuse("x", "must be data to evaluate on", None, "Pass arrays or a dataset, or a measure.")
        if hasattr(data["x"], "__next__"):
            advice = "Pass arrays, a tf.data.Dataset or a keras.utils.PyDataset."
            raise check.refuse("x", "must be data that can be read again and again, not an iterator", data["x"], advice)
        return lambda: model.evaluate(**data, verbose=0, return_dict=True)
    if not callable(measure):
        raise check.refuse("measure", "must be a callable model -> number or dict", measure, "Pass a function.")
    for name, value in data.items():
        advice = "Let measure hold the data, or leave measure out."
        raise check.refuse(name, "must be None beside a measure, which reads data of its own", value, advice)
    return lambda: measure(model)


def numbers(result: Any, source: str, where: str, expected: Mapping[str, float] | None = None) -> dict[str, float]:
    """The result of a measurement as floats by name.

    Args:
        result: a number, or a dict from names to numbers; a number is called "measure".
        source: what returned it, for the error.
        where: what was measured, for the error.
        expected: an earlier result, whose names it has to have.
    Raises:
        ValueError: for NaN, infinity, other names, or no number.

    >>> numbers(3, "measure", "at first")
    {'measure': 3.0}
    """
    named = dict(result) if isinstance(result, Mapping) else {"measure": result}
    if not named or not all(isinstance(name, str) for name in named) or (expected and set(named) != set(expected)):
        rule = f"the names {sorted(expected)} again" if expected else "a number, or a dict from names to numbers"
        raise ValueError(
            f"{source} must return {rule}; received {check.describe(result)} {where}. Return the same names every time."
        )
    found = {}
    for name, value in named.items():
        is_number = not isinstance(value, bool | str | bytes) and hasattr(value, "__float__")
        is_number = is_number and tuple(getattr(value, "shape", ())) == ()
        number = float(value) if is_number else math.nan
        if not math.isfinite(number):
            received = check.describe(number if is_number else value)
            raise ValueError(
                f"{source} must return finite numbers; received {name}={received} {where}. "
                "Pass a measure that returns a float or a dict of floats, or leave out what makes it fail."
            )
        found[name] = number
    return found


@contextlib.contextmanager
def lent(model: keras.Model, variables: list[keras.Variable]) -> Iterator[Callable[[], None]]:
    """Take back at the end, and whenever the function it gives is called, what is written into variables.

    Args:
        model: the model they are part of.
        variables: those that are kept.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> with lent(model, model.variables):
    ...     _ = model.layers[0].kernel.assign([[5.0]])
    >>> float(model.layers[0].kernel[0, 0])
    1.0
    """
    kept = [(variable, np.array(variable.numpy())) for variable in variables]

    def give_back() -> None:
        for variable, value in kept:
            variable.assign(value)

    try:
        yield give_back
    finally:
        # An evaluation that was cut short on JAX holds the state it began with, and Keras 3.15 would write that over
        # the weights when a callback of the next `fit` first asks for the model.
        if hasattr(model, "jax_state_sync"):
            model.jax_state_sync()
        give_back()


def better(mode: str, metric: str) -> str:
    """Whether lower ("min") or higher ("max") values of a metric are better.

    Args:
        mode: "min" or "max", returned as it is, or "auto" to go by the words of the name.
        metric: name of the metric.
    Raises:
        ValueError: for another mode, or a name that "auto" does not know.

    >>> better("auto", "val_top_k_categorical_accuracy")
    'max'
    """
    if check.one_of("mode", mode, ("auto", "min", "max")) != "auto":
        return mode
    for word in reversed(metric.lower().split("_")):  # the last word that tells: "score_loss" is a loss
        if word in _LOWER_IS_BETTER:
            return "min"
        if word in _HIGHER_IS_BETTER:
            return "max"
    advice = "Pass 'min' if lower values are better, 'max' if higher ones are."
    raise check.refuse("mode", f"must be 'min' or 'max' for the unknown metric {metric!r}", mode, advice)


def chosen(metric: str | None, baseline: Mapping[str, float]) -> str:
    """The name of a metric: "loss" if None, or the first where there is no loss.

    Raises:
        ValueError: if there is no metric of that name.

    >>> chosen(None, {"accuracy": 0.9, "loss": 0.3})
    'loss'
    """
    if metric is None:
        return "loss" if "loss" in baseline else next(iter(baseline))
    return check.one_of("metric", metric, baseline)


def bearable(values: Sequence[float], baseline: float, drop: float, mode: str) -> int:
    """How many values from the first on are worse than a baseline by at most `drop`.

    Args:
        values: of a metric, from gentle to harsh.
        baseline: its value with nothing done.
        drop: >= 0; rounding of float32 is let pass: 1e-6, times the baseline if that is above 1.
        mode: "min" if lower is better, "max" if higher is.

    >>> bearable((0.9, 0.8, 0.89), baseline=0.9, drop=0.05, mode="max")
    1
    """
    sign = 1.0 if mode == "min" else -1.0
    allowed = drop + 1e-6 * max(1.0, abs(baseline))
    worse = (place for place, value in enumerate(values) if sign * (value - baseline) > allowed)
    return next(worse, len(values))
