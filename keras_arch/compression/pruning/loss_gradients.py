"""Gradients of a model's loss over samples, taken without leaving a trace in the model."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.walk import walk
from keras_arch.ops.gradients import gradients
from keras_arch.ops.precision import at_least_float32

Loss = None | str | Callable[[Any, Any], Any]

# Losses of models in float16 start out multiplied by this, or gradients below 6e-8 on their way would be lost.
_FLOAT16_SCALE = 2.0**15


def loss_gradients(
    model: keras.Model,
    x: Any,
    y: Any,
    variables: Sequence[keras.Variable],
    loss: Loss = None,
    batch_size: int = 32,
) -> list[np.ndarray]:
    """Gradients of the mean loss over all samples, for some weights of a model.

    g = sum over batches of n_b / N * dL_b / dw     n_b: samples in the batch, N: in all, L_b: mean loss of the batch

    The batches are added up, so memory does not grow with N, and g does not depend on `batch_size` up to rounding. That
    takes a loss that is a mean over the batch, as Keras's are by default, and samples that do not mix: the model runs
    with `training=False`, without dropout's noise, and batch normalization uses its moving statistics. Everything that
    the call would write (statistics, metrics, seeds) is dropped; optimizer and `.grad` are not touched. Only where
    `compute_loss` makes metrics when it first runs, as for several outputs, it makes them now instead of in `fit`.

    Models that compute in float16 have their loss scaled up, and less so while the gradients overflow.

    Args:
        model: a built model.
        x: samples, batch axis first: NumPy arrays or tensors, or a structure of them as the model takes.
        y: targets of as many samples.
        variables: weights of the model, trainable or not.
        loss: None for what `fit` minimises, `model.compute_loss` with its penalties; or a Keras identifier or a
            callable (y_true, y_pred), which get all outputs in the model's structure, without penalties or masks, and
            whose mean is taken.
        batch_size: samples per step, >= 1.
    Returns:
        An array of each variable's shape, float32 (float64 for float64), zeros where the loss does not depend on it.
    Raises:
        ValueError: if there is no loss, or an identifier is given for a model of several outputs.

    >>> from keras_arch.compression.pruning.loss_gradients import loss_gradients
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> loss_gradients(model, np.array([[1.0, 2.0]]), np.array([[1.0]]), [model.layers[0].kernel], "mse")[0].tolist()
    [[4.0], [8.0]]
    """
    evaluate = _evaluation(model, loss)
    # Penalties look for their weights in the scope, so it has them all.
    state = [(variable, variable.value) for variable in model.trainable_variables]
    points = [variable.value for variable in variables]

    def differentiate(batch: tuple, scale: float) -> list:
        def scaled_loss(values: list) -> Any:
            with keras.StatelessScope([*state, *zip(variables, values, strict=True)], collect_losses=True):
                return evaluate(*batch) * scale

        return [_at_least_float32(gradient) / scale for gradient in gradients(scaled_loss, points)]

    half = any(layer.compute_dtype == "float16" for _, layer in [("", model), *walk(model)])
    scale = _FLOAT16_SCALE if half else 1.0
    totals: list[Any] = [0.0] * len(points)
    for share, *batch in _batches(x, y, batch_size):
        found = differentiate(batch, scale)
        while scale > 1 and not all(bool(ops.all(ops.isfinite(gradient))) for gradient in found):
            scale /= 8
            found = differentiate(batch, scale)
        totals = [total + gradient * share for total, gradient in zip(totals, found, strict=True)]
    return [ops.convert_to_numpy(total) for total in totals]


def _evaluation(model: keras.Model, loss: Loss) -> Callable[[Any, Any], Any]:
    """The loss of a batch, a scalar."""
    advice = "Compile the model with a loss, or pass one, for example loss='mse'."
    if loss is None:
        stock = getattr(model.compute_loss, "__func__", None) is keras.Model.compute_loss
        rule = "must be given for a model that was compiled without one"
        if stock and not model.compiled:
            raise check.refuse("loss", rule, loss, advice)
        parameters = inspect.signature(model.compute_loss).parameters
        mode = {"training": False} if "training" in parameters else {}

        def compiled(x: Any, y: Any) -> Any:
            outputs = model(x, training=False)
            if stock and model.loss is None and not model.losses:
                raise check.refuse("loss", rule, loss, advice)
            return model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=None, **mode)

        return compiled
    function = keras.losses.get(loss)

    def given(x: Any, y: Any) -> Any:
        outputs = model(x, training=False)
        if keras.tree.is_nested(outputs) and isinstance(loss, str | keras.losses.Loss):
            rule = "must be a function (y_true, y_pred) of all outputs for a model that has several"
            raise check.refuse("loss", rule, loss, "Pass one, or None for the compiled loss.")
        return ops.mean(function(y, keras.tree.map_structure(_at_least_float32, outputs)))

    return given


def _batches(x: Any, y: Any, batch_size: int) -> Iterator[tuple[float, Any, Any]]:
    """Share of all samples, inputs and targets of one batch after the other."""
    x, y = (keras.tree.map_structure(_array, part) for part in (x, y))
    count = len(keras.tree.flatten(x)[0])
    for start in range(0, count, batch_size):
        rows = slice(start, min(start + batch_size, count))
        yield (
            (rows.stop - start) / count,
            *(keras.tree.map_structure(lambda leaf, rows=rows: _tensor(leaf[rows]), part) for part in (x, y)),
        )


def _array(leaf: Any) -> np.ndarray:
    return leaf if isinstance(leaf, np.ndarray) else ops.convert_to_numpy(leaf)


def _tensor(rows: np.ndarray) -> Any:
    """Floats as `fit` casts them, everything else as it is."""
    return ops.convert_to_tensor(rows, dtype=keras.config.floatx() if rows.dtype.kind == "f" else None)


def _at_least_float32(tensor: Any) -> Any:
    is_float = keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))
    return ops.cast(tensor, at_least_float32(tensor.dtype)) if is_float else tensor
