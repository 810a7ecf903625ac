"""How much a model suffers when one weight is pruned and all others stay."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import keras

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
from keras_arch.compression.pruning.pruner import Pruner, check_criterion, check_pattern
from keras_arch.compression.schedule import ConstantSchedule
from keras_arch.compression.scope import Target, Targets
from keras_arch.core import check, optional
from keras_arch.core.table import table


@dataclasses.dataclass(frozen=True)
class LayerSensitivity:
    """One weight of a `SensitivityReport`.

    Args:
        path: path of the layer.
        weight: name of the weight in the layer.
        shape: shape of the weight.
        size: how many numbers it has.
        values: name of a metric to its values with this weight alone pruned, one for each of the report's sparsities.

    >>> ka.compression.LayerSensitivity("head", "kernel", (8, 4), 32, {"loss": (0.3, 0.9)}).values["loss"]
    (0.3, 0.9)
    """

    path: str
    weight: str
    shape: tuple[int, ...]
    size: int
    values: Mapping[str, tuple[float, ...]]

    @property
    def name(self) -> str:
        """path/weight."""
        return f"{self.path}/{self.weight}"


@dataclasses.dataclass(frozen=True)
class SensitivityReport:
    """Loss and metrics of a model with one weight pruned, for each weight and each sparsity.

    Args:
        sparsities: fractions that were pruned, ascending.
        baseline: name of a metric to its value with nothing pruned.
        layers: one row for each weight.

    >>> row = ka.compression.LayerSensitivity("head", "kernel", (8, 4), 32, {"loss": (0.3, 0.9)})
    >>> report = ka.compression.SensitivityReport((0.5, 0.8), {"loss": 0.25}, (row,))
    >>> print(report)
    layer  weight  shape   size  metric  50 %  80 %
    head   kernel  (8, 4)    32  loss     0.3   0.9
    nothing pruned: loss 0.25
    >>> report.highest_sparsities(drop=0.1)
    {'head': 0.5}
    """

    sparsities: tuple[float, ...]
    baseline: Mapping[str, float]
    layers: tuple[LayerSensitivity, ...]

    def highest_sparsities(self, drop: float, metric: str | None = None, mode: str = "auto") -> dict[str, float]:
        """Propose for each layer the highest sparsity that costs at most `drop`: what `Pruner` takes as `overrides`.

        A sparsity is proposed only if no lower one costs more, since a curve that comes back does so by chance. Each
        weight was pruned alone: all proposals together cost more than one, so leave room or train afterwards.

        Args:
            drop: how much worse the metric may become, >= 0, in its own unit: 0.01 of an accuracy is one per cent
                of the samples. Rounding of float32 is let pass: 1e-6, times the baseline if that is above 1.
            metric: its name; None takes "loss", or the first metric if there is none.
            mode: "min" if lower is better, "max" if higher is, "auto" to go by the words of the name.
        Returns:
            Path of the layer to sparsity, 0.0 where already the lowest costs more; of several weights of a layer, the
            one that stands least decides.
        Raises:
            ValueError: if an argument breaks its rule, or "auto" does not know the name.

        >>> row = ka.compression.LayerSensitivity("head", "kernel", (8, 4), 32, {"accuracy": (0.97, 0.8)})
        >>> report = ka.compression.SensitivityReport((0.5, 0.8), {"accuracy": 0.98}, (row,))
        >>> report.highest_sparsities(0.01, "accuracy"), report.highest_sparsities(0.001, "accuracy")
        ({'head': 0.5}, {'head': 0.0})
        """
        drop = check.strength("drop", drop)
        metric = self.metric(metric)
        mode, baseline = better(mode, metric), self.baseline[metric]
        highest: dict[str, float] = {}
        for row in self.layers:
            count = bearable(row.values[metric], baseline, drop, mode)
            reached = self.sparsities[count - 1] if count else 0.0
            highest[row.path] = min(reached, highest.get(row.path, 1.0))
        return highest

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
                "weight": row.weight,
                "shape": list(row.shape),
                "size": row.size,
                "values": {metric: list(values) for metric, values in row.values.items()},
            }
            for row in self.layers
        ]
        return {"sparsities": list(self.sparsities), "baseline": dict(self.baseline), "layers": rows}

    def plot(self, **options: Any) -> Any:
        """Draw a curve for each weight; takes the options of `keras_arch.plots.sensitivity` and returns its Axes."""
        return optional.room("plots").sensitivity(self, **options)

    def __str__(self) -> str:
        rows = [("layer", "weight", "shape", "size", "metric", *(f"{100 * part:g} %" for part in self.sparsities))]
        for row in self.layers:
            about = (row.path, row.weight, str(row.shape), f"{row.size:,}")
            for metric, values in row.values.items():
                rows.append((*about, metric, *(f"{value:.4g}" for value in values)))
                about = ("", "", "", "")
        baseline = ", ".join(f"{metric} {value:.4g}" for metric, value in self.baseline.items())
        return f"{table(rows, right=(3, *range(5, len(rows[0]))))}\nnothing pruned: {baseline}"


def sensitivity(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    sparsities: Iterable[float] = (0.5, 0.7, 0.8, 0.9, 0.95),
    criterion: str | Callable[[keras.Variable], Any] = "magnitude",
    pattern: str | Any = "unstructured",
    targets: Targets = None,
    measure: Callable[[keras.Model], Any] | None = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    verbose: int | str = "auto",
) -> SensitivityReport:
    """Measure how much a model suffers when one weight is pruned, for each weight and each sparsity.

    The weight is pruned in place as `prune` does it, the model is measured, and all its variables get back exactly what
    they were, also on errors and interrupts. Every measurement starts from the same state; metrics are left as one
    `evaluate` of the unpruned model leaves them. That takes 1 + weights · sparsities evaluations, so a few
    hundred samples are a good start, and a copy of the model's variables in memory.

    Args:
        model: a built model, compiled unless `measure` is given.
        x: data for `model.evaluate`, arrays of shape (N, ...), N: samples, or a dataset that can be read repeatedly.
        y: labels, shape (N, ...), unless the dataset brings them.
        sparsities: fractions of zeros, in [0, 1), in any order.
        criterion: see `Pruner`.
        pattern: see `Pruner`.
        targets: which weights are pruned one by one, see `compression.scope.select`; None means kernels.
        measure: callable model -> number, or dict from names to numbers, that reads data of its own and does not
            train; a number is called "measure" in the report. None is `model.evaluate` on `x` and `y`.
        sample_weight: see `model.evaluate`.
        batch_size: see `model.evaluate`.
        steps: see `model.evaluate`.
        verbose: 1 or "auto" for a progress bar, 0 for silence.
    Returns:
        Baseline, and one row for each weight.
    Raises:
        ValueError: before anything is measured, if an argument breaks its rule, the pattern does not fit a weight, a
            sparsity is above what the pattern can reach, or the model can't be evaluated; later, if a measurement gives
            NaN, infinity, other names than the first, or no number. The weights are untouched then.
    Source: Han et al. 2015, arXiv:1506.02626, figure 6: the accuracy of each layer's curve, and thresholds from it.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False, name="head")])
    >>> model.compile(loss="mse")
    >>> model.set_weights([np.array([[1.0], [2.0], [3.0], [4.0]])])
    >>> x = np.eye(4)
    >>> report = ka.compression.sensitivity(model, x, x @ model.get_weights()[0], sparsities=[0.25, 0.5], verbose=0)
    >>> report.layers[0].values["loss"]
    (0.25, 1.25)
    """
    criterion, pattern = check_criterion(criterion, trains=False), check_pattern(pattern)
    fractions = _check_sparsities(sparsities, pattern)
    check_verbose(verbose)
    data = {"x": x, "y": y, "sample_weight": sample_weight, "batch_size": batch_size, "steps": steps}
    look = measurement(model, measure, {name: value for name, value in data.items() if value is not None})
    source = "model.evaluate" if measure is None else "measure"
    pruners = _pruners(model, fractions[-1], criterion, pattern, targets)
    bar = progress(1 + len(pruners) * len(fractions), verbose)
    rows = []
    with lent(model, model.variables) as give_back:
        baseline = numbers(look(), source, "with nothing pruned")
        bar.add(1)
        with lent(model, model.metrics_variables):
            for target, pruner in pruners:
                measured = []
                for sparsity in fractions:
                    give_back()
                    pruner.prune(sparsity)
                    pruner.settle()
                    where = f"with {target.path}/{target.variable.name} at a sparsity of {sparsity:g}"
                    measured.append(numbers(look(), source, where, baseline))
                    bar.add(1)
                values = {name: tuple(numbers[name] for numbers in measured) for name in baseline}
                shape = tuple(target.variable.shape)
                rows.append(LayerSensitivity(target.path, target.variable.name, shape, target.size, values))
    return SensitivityReport(fractions, baseline, tuple(rows))


def _check_sparsities(sparsities: Any, pattern: Any) -> tuple[float, ...]:
    listed = list(sparsities) if isinstance(sparsities, Iterable) and not isinstance(sparsities, str) else []
    if not listed:
        advice = "Pass for example (0.5, 0.8)."
        raise check.refuse("sparsities", "must be one or more numbers in [0, 1)", sparsities, advice)
    fractions = sorted(
        {
            check.real(f"sparsities[{place}]", sparsity, minimum=0, maximum=1, open_maximum=True)
            for place, sparsity in enumerate(listed)
        }
    )
    limit = getattr(pattern, "max_sparsity", 1.0)
    if fractions[-1] > limit + 1e-9:
        advice = "Leave out what is above, or choose another pattern."
        raise check.refuse("sparsities", f"must be at most the pattern's {limit:g}", tuple(fractions), advice)
    return tuple(fractions)


def _pruners(
    model: keras.Model, highest: float, criterion: Any, pattern: Any, targets: Targets
) -> list[tuple[Target, Pruner]]:
    """Each weight with what prunes it alone; made before anything is measured, since it refuses what does not fit."""
    schedule = ConstantSchedule(highest)
    everything = Pruner(model, schedule, criterion, pattern, "layer", targets)
    criterion = everything.criterion
    if hasattr(criterion, "for_model"):  # one pass over its data for all weights, which a Pruner would repeat
        criterion = criterion.for_model(model, [target.variable for target in everything.targets])
    pruners = []
    for target in everything.targets:
        alone = partial(_is_variable, target.variable)
        pruners.append((target, Pruner(model, schedule, criterion, pattern, "layer", alone)))
    return pruners


def _is_variable(wanted: keras.Variable, _: str, variable: keras.Variable) -> bool:
    return variable is wanted
