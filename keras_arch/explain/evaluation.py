"""Methods against measures: which explanations of a model are how good, and what they cost."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import keras
import numpy as np

from keras_arch.core import optional
from keras_arch.core.check import refuse
from keras_arch.core.identifiers import resolve, snake_case
from keras_arch.core.table import table
from keras_arch.explain import metrics as room
from keras_arch.explain import target as targets
from keras_arch.explain.method import Method, as_inputs
from keras_arch.explain.metrics.measurement import ARROWS, Measurement
from keras_arch.explain.metrics.metric import Metric
from keras_arch.explain.metrics.subject import rows_of, target_of
from keras_arch.explain.probe import Probe


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Measurements of several methods by several measures on the same samples.

    Methods and measures go by their class, and where two are of one class by their settings.

    Args:
        values: name of a method to name of a measure to its `Measurement`.
        seconds: name of a method to the time that it took to explain a sample, once compiled.
        samples: N, how many samples were explained.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> evaluation = evaluate(["integrated_gradients"], model, [[1.0, 3.0]], metrics=["deletion", "sparseness"])
    >>> print(evaluation)
    method               deletion ↓    sparseness ↑    s/sample
    IntegratedGradients  1.5 ± 0     * 0.25 ± 0     *  ...
    1 samples; mean ± deviation over them, * best mean
    >>> evaluation.values["IntegratedGradients"]["deletion"].values.tolist()
    [1.5]
    """

    values: Mapping[str, Mapping[str, Measurement]]
    seconds: Mapping[str, float]
    samples: int

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in the order in which they were given."""
        return tuple(self.values)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the measures, in the order in which they were given."""
        return tuple(next(iter(self.values.values())))

    def best(self, metric: str) -> tuple[str, ...]:
        """Names of the methods with the best mean of a measure: one, or all that share it; none if no mean is known.

        Args:
            metric: name of the measure.
        Raises:
            ValueError: if there is none of that name.
        """
        if metric not in self.metrics:
            advice = "Choose one of these."
            raise refuse("metric", f"must be one of {', '.join(map(repr, self.metrics))}", metric, advice)
        means = {name: row[metric].mean for name, row in self.values.items()}
        known = [mean for mean in means.values() if not np.isnan(mean)]
        if not known:
            return ()
        direction = next(iter(self.values.values()))[metric].direction
        most = max(known) if direction == "higher" else min(known)
        return tuple(name for name, mean in means.items() if mean == most)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain Python values that JSON can hold."""
        rows = {
            name: {"seconds": self.seconds[name], "metrics": {key: one.to_dict() for key, one in row.items()}}
            for name, row in self.values.items()
        }
        return {"samples": self.samples, "methods": rows}

    def plot(self, **options: Any) -> Any:
        """Draw a bar for each method and measure, as `keras_arch.plots.evaluation`; returns a matplotlib Figure."""
        return optional.room("plots").evaluation(self, **options)

    def __repr__(self) -> str:
        return f"Evaluation({len(self.methods)} methods, {len(self.metrics)} metrics, {self.samples} samples)"

    def __str__(self) -> str:
        first = next(iter(self.values.values()))
        rows = [("method", *(f"{name} {ARROWS[one.direction]}" for name, one in first.items()), "s/sample")]
        best = {metric: self.best(metric) for metric in self.metrics}
        for name, row in self.values.items():
            cells = [f"{one.mean:.3g} ± {one.std:.2g}" for one in row.values()]
            marked = (f"{cell} *" if name in best[metric] else cell for cell, metric in zip(cells, row, strict=True))
            rows.append((name, *marked, f"{self.seconds[name]:.2g}"))
        widths = [max(len(row[place].removesuffix(" *")) for row in rows) for place in range(len(rows[0]))]
        rows = [
            [
                f"{cell.removesuffix(' *'):<{width}} *" if cell.endswith(" *") else cell
                for cell, width in zip(row, widths, strict=True)
            ]
            for row in rows
        ]
        text = table(rows, right=[len(rows[0]) - 1])
        return f"{text}\n{self.samples} samples; mean ± deviation over them, * best mean"


def evaluate(
    methods: Iterable[Any],
    model: keras.Model,
    x: Any,
    metrics: Iterable[Any] = ("deletion", "insertion", "sparseness"),
    target: Any = None,
    *,
    output: str = "model",
    batch_size: int = 32,
    verbose: bool = False,
) -> Evaluation:
    """Explain the same samples by several methods and judge each by several measures.

    Args:
        methods: methods or their string ids, such as `GradCAM()` or "integrated_gradients".
        model: any Keras model.
        x: samples, as for `Method.explain`.
        metrics: measures or their string ids, such as `Deletion(steps=10)` or "sparseness".
        target: what is explained and scored, as for `Method.explain`.
        output: which numbers are explained and scored: "model", "logits" or "probabilities".
        batch_size: samples per compiled call.
        verbose: whether long work shows a progress bar.
    Returns:
        An `Evaluation`, which prints as a table. Compiling does not count as time: the first `batch_size` samples are
        explained once before.
    Raises:
        ValueError: before anything is explained, for an unknown id, or something that is no method or no measure; later
            as `Method.explain` and `Metric.measure` say.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> evaluate(["integrated_gradients"], model, [[1.0, 3.0]], metrics=["complexity"]).best("complexity")
    ('IntegratedGradients',)
    """
    methods = _several("methods", methods, optional.room("explain"), Method, "GradCAM()")
    measures = _several("metrics", metrics, room, Metric, "Deletion()")
    inputs = as_inputs(model, x)
    samples = len(keras.tree.flatten(inputs)[0])
    probe = Probe(model, output=output, batch_size=batch_size)
    selections = targets.select(target, probe.survey(inputs).outputs, samples)
    selections = targets.settle(selections, probe.predict(inputs, selections)[0])
    target = target_of(selections)
    head = np.arange(min(samples, batch_size))
    first = keras.tree.map_structure(lambda leaf: leaf[head], inputs)
    options = {"output": output, "batch_size": batch_size, "verbose": verbose}
    values, seconds = {}, {}
    for name, method in methods.items():
        method.explain(model, first, target_of(rows_of(selections, head)), output=output, batch_size=batch_size)
        began = time.perf_counter()
        attribution = method.explain(model, inputs, target, **options)
        seconds[name] = (time.perf_counter() - began) / samples
        row = {key: measure.measure(model, attribution, target=target, **options) for key, measure in measures.items()}
        values[name] = row
    return Evaluation(values, seconds, samples)


def _several(argument: str, given: Any, source: ModuleType, kind: type, example: str) -> dict[str, Any]:
    """Methods or measures by name: of their class, or with their settings where two are of one class."""
    listed = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else []
    if not listed:
        advice = f"Pass a list, such as [{example}]."
        raise refuse(argument, "must be a list of at least one", given, advice)
    found = [resolve(argument, one, source) for one in listed]
    for one in found:
        if not isinstance(one, kind) or type(one) is kind:
            rule = f"must hold objects of {kind.__module__}.{kind.__name__}, or their ids"
            raise refuse(argument, rule, one, f"Pass for example {example}.")
    classes = [type(one).__name__ for one in found]
    names = [repr(one) if classes.count(name) > 1 else name for one, name in zip(found, classes, strict=True)]
    if kind is Metric:
        names = [name if name == repr(one) else snake_case(name) for one, name in zip(found, names, strict=True)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise refuse(argument, "must differ from each other", ", ".join(twice), "Leave out what is there twice.")
    return dict(zip(names, found, strict=True))
