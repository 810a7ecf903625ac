"""How much a model suffers when the kernels of one layer are rounded and all others stay."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
from keras import ops

from keras_arch.compression.evaluation import (
    bearable,
    better,
    check_verbose,
    chosen,
    lent,
    measurement,
    numbers,
    progress,
)
from keras_arch.compression.quantization.layer import QuantizedLayer
from keras_arch.compression.quantization.phase import prepared_layers
from keras_arch.compression.quantization.quantize import quantize
from keras_arch.compression.quantization.scheme import Scheme
from keras_arch.core import check, optional
from keras_arch.core.table import table


@dataclasses.dataclass(frozen=True)
class LayerQuantizationSensitivity:
    """One layer of a `QuantizationSensitivityReport`.

    Args:
        path: path of the layer, as `quantize` takes it in `overrides`.
        size: how many numbers its kernels have.
        values: name of a metric to its values with this layer alone rounded, one for each of the report's bits.

    >>> ka.compression.LayerQuantizationSensitivity("head", 32, {"loss": (0.3, 0.9)}).values["loss"]
    (0.3, 0.9)
    """

    path: str
    size: int
    values: Mapping[str, tuple[float, ...]]


@dataclasses.dataclass(frozen=True)
class QuantizationSensitivityReport:
    """Loss and metrics of a model with the kernels of one layer rounded, for each layer and each number of bits.

    Args:
        bits: widths that were tried, descending.
        baseline: name of a metric to its value with nothing rounded.
        layers: one row for each layer.

    >>> row = ka.compression.LayerQuantizationSensitivity("head", 32, {"loss": (0.3, 0.9)})
    >>> report = ka.compression.QuantizationSensitivityReport((8, 4), {"loss": 0.25}, (row,))
    >>> print(report)
    layer  size  metric  8 bits  4 bits
    head     32  loss       0.3     0.9
    nothing rounded: loss 0.25
    >>> report.lowest_bits(drop=0.1)
    {'head': 8}
    """

    bits: tuple[int, ...]
    baseline: Mapping[str, float]
    layers: tuple[LayerQuantizationSensitivity, ...]

    def lowest_bits(self, drop: float, metric: str | None = None, mode: str = "auto") -> dict[str, int | None]:
        """Propose for each layer the lowest bits that cost at most `drop`: what `quantize` takes as `overrides`.

        Bits are proposed only if no higher ones cost more, since a curve that comes back does so by chance. Each layer
        was rounded alone: all proposals together cost more than one, so leave room or train afterwards.

        Args:
            drop: how much worse the metric may become, >= 0, in its own unit: 0.01 of an accuracy is one per cent
                of the samples. Rounding of float32 is let pass: 1e-6, times the baseline if that is above 1.
            metric: its name; None takes "loss", or the first metric if there is none.
            mode: "min" if lower is better, "max" if higher is, "auto" to go by the words of the name.
        Returns:
            Path of the layer to bits; None where already the most bits cost more, which `overrides` reads as what the
            other layers have: choose, or leave the layer in float with `exclude`.
        Raises:
            ValueError: if an argument breaks its rule, or "auto" does not know the name.

        >>> row = ka.compression.LayerQuantizationSensitivity("head", 32, {"accuracy": (0.97, 0.8)})
        >>> report = ka.compression.QuantizationSensitivityReport((8, 4), {"accuracy": 0.98}, (row,))
        >>> report.lowest_bits(0.2, "accuracy"), report.lowest_bits(0.001, "accuracy")
        ({'head': 4}, {'head': None})
        """
        drop = check.strength("drop", drop)
        metric = self.metric(metric)
        mode, baseline = better(mode, metric), self.baseline[metric]
        lowest: dict[str, int | None] = {}
        for row in self.layers:
            count = bearable(row.values[metric], baseline, drop, mode)
            lowest[row.path] = self.bits[count - 1] if count else None
        return lowest

    def metric(self, name: str | None = None) -> str:
        """Return the name of a metric of the report.

        Args:
            name: None takes "loss", or the first metric if there is none.
        Raises:
            ValueError: if there is no metric of that name.
        """
        return chosen(name, self.baseline)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain Python values that JSON can hold."""
        rows = [
            {
                "path": row.path,
                "size": row.size,
                "values": {metric: list(values) for metric, values in row.values.items()},
            }
            for row in self.layers
        ]
        return {"bits": list(self.bits), "baseline": dict(self.baseline), "layers": rows}

    def plot(self, **options: Any) -> Any:
        """Draw a curve for each layer with the options of `keras_arch.plots.quantization_sensitivity`: its Axes."""
        return optional.room("plots").quantization_sensitivity(self, **options)

    def __str__(self) -> str:
        rows = [("layer", "size", "metric", *(f"{bits} bits" for bits in self.bits))]
        for row in self.layers:
            about = (row.path, f"{row.size:,}")
            for metric, values in row.values.items():
                rows.append((*about, metric, *(f"{value:.4g}" for value in values)))
                about = ("", "")
        baseline = ", ".join(f"{metric} {value:.4g}" for metric, value in self.baseline.items())
        return f"{table(rows, right=(1, *range(3, len(rows[0]))))}\nnothing rounded: {baseline}"


def quantization_sensitivity(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    bits: Iterable[int] = (8, 6, 4, 3, 2),
    weights: Scheme | None = None,
    exclude: Iterable[str | keras.Layer] = (),
    measure: Callable[[keras.Model], Any] | None = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    verbose: int | str = "auto",
) -> QuantizationSensitivityReport:
    """Measure how much a model suffers when one layer's kernels are rounded, for each layer and each number of bits.

    One copy of the model is made, as `quantize` does it, and the given model is left alone. In the copy the kernels of
    a layer are replaced by their rounded values, the copy is measured, and the kernels come back; nothing is traced
    anew. Activations stay float. That takes 1 + layers · bits evaluations, so a few hundred samples are a good start.

    Args:
        model: a built model that `quantize` takes, compiled unless `measure` is given.
        x: data for `model.evaluate`, arrays of shape (N, ...), N: samples, or a dataset that can be read repeatedly.
        y: labels, shape (N, ...), unless the dataset brings them.
        bits: widths to try, 2 to 8, in any order.
        weights: how kernels are rounded otherwise: granularity, observer. None is what LiteRT runs.
        exclude: see `quantize`.
        measure: callable model -> number, or dict from names to numbers, that is given the copy, reads data of its own
            and does not train; a number is called "measure" in the report. None is `evaluate` on `x` and `y`.
        sample_weight: see `model.evaluate`.
        batch_size: see `model.evaluate`.
        steps: see `model.evaluate`.
        verbose: 1 or "auto" for a progress bar, 0 for silence.
    Returns:
        Baseline, and one row for each layer.
    Raises:
        ValueError: if an argument breaks its rule, the model can't be quantized or evaluated, or a measurement gives
            NaN, infinity, other names than the first, or no number.
    Source: Wu et al. 2020, arXiv:2004.09602, section 6.1.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False, name="head")])
    >>> model.compile(loss="mse")
    >>> model.set_weights([np.array([[1.0], [0.6], [0.4], [0.0]])])
    >>> x = np.eye(4)
    >>> y = x @ model.get_weights()[0]
    >>> report = ka.compression.quantization_sensitivity(model, x, y, bits=[8, 2], verbose=0)
    >>> round(report.layers[0].values["loss"][1], 3)
    0.08
    """
    widths = _check_bits(bits)
    if weights is not None and not isinstance(weights, Scheme):
        raise check.refuse("weights", "must be a Scheme or None", weights, "The widths are the argument bits.")
    check_verbose(verbose)
    data = {"x": x, "y": y, "sample_weight": sample_weight, "batch_size": batch_size, "steps": steps}
    data = {name: value for name, value in data.items() if value is not None}
    measurement(model, measure, data)  # refuses what cannot be measured before a copy is made
    weights = Scheme.for_weights(widths[0]) if weights is None else weights
    copied = quantize(model, weights, exclude=exclude)
    if measure is None:
        _compile_alike(copied, model)
    look = measurement(copied, measure, data)
    source = "model.evaluate" if measure is None else "measure"
    layers = [(path, layer) for path, layer in prepared_layers(copied) if layer.kernels]
    bar = progress(1 + len(layers) * len(widths), verbose)
    baseline = numbers(look(), source, "with nothing rounded")
    bar.add(1)
    rows = []
    for path, layer in layers:
        measured = []
        with lent(copied, layer.kernels) as give_back:
            for width in widths:
                give_back()
                _round_kernels(layer, dataclasses.replace(weights, bits=width))
                measured.append(numbers(look(), source, f"with {path} at {width} bits", baseline))
                bar.add(1)
        values = {name: tuple(found[name] for found in measured) for name in baseline}
        size = sum(math.prod(kernel.shape) for kernel in layer.kernels)
        rows.append(LayerQuantizationSensitivity(path, size, values))
    return QuantizationSensitivityReport(widths, baseline, tuple(rows))


def _check_bits(bits: Any) -> tuple[int, ...]:
    listed = list(bits) if isinstance(bits, Iterable) and not isinstance(bits, str) else []
    if not listed:
        raise check.refuse("bits", "must be one or more integers in [2, 8]", bits, "Pass for example (8, 4).")
    checked = {check.integer(f"bits[{i}]", width, minimum=2, maximum=8) for i, width in enumerate(listed)}
    return tuple(sorted(checked, reverse=True))


def _compile_alike(copied: keras.Model, model: keras.Model) -> None:
    try:
        copied.compile_from_config(model.get_compile_config())
    except Exception as error:
        raise ValueError(
            f"model must be compiled with losses and metrics that Keras can serialise to be copied; received "
            f"model={model.name!r}: {str(error)[:300]} "
            "Register them with keras.saving.register_keras_serializable, or pass a measure."
        ) from error
    if not copied.compiled:
        raise check.refuse("model", "must have a get_compile_config", model, "Pass a measure.")


def _round_kernels(layer: QuantizedLayer, scheme: Scheme) -> None:
    for kernel, axes in zip(layer.kernels, layer.kernel_axes, strict=True):
        kernel.assign(ops.cast(scheme.quantize_kernel(kernel.value, axes), kernel.dtype))
