"""Expected gradients: integrated gradients averaged over random baselines from a background."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain import place, target
from keras_arch.explain.gradient.integrated_gradients import differ, sums
from keras_arch.explain.gradient.references import aligned
from keras_arch.explain.method import Method, as_inputs, warn_if_flat
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe


@register
@dataclass(frozen=True, eq=False, repr=False)
class ExpectedGradients(Method):
    """Attributions that add up, on average, to the score at the input less the mean score over a background.

    values_i = 1/n Σₖ (xₖ_i - bₖ_i) · ∂F/∂x_i (bₖ + αₖ (xₖ - bₖ)),   xₖ = x + σ εₖ
    bₖ: a row of the background.   αₖ ~ U(0, 1).   εₖ ~ N(0, 1).   n: samples.   F: the score.

    Rows, places αₖ and noise are drawn from `seed` and serve the whole batch, so a result does not depend on what
    else is in the batch. The delta, values less F(x) less the mean of F(bₖ), comes with every result; it shrinks with
    the root of n.

    Args:
        background: (M, …) rows in the inputs' structure, such as 100 training samples; with `layer` they are inputs
            too, and the model takes them there.
        samples: n, gradients per sample, >= 1.
        noise: σ >= 0, standard deviation of noise on the input, in its own units; with it this is GradientSHAP.
        seed: an int >= 0, where the draws start from.
        layer: name, path or object of a layer whose output is explained in the input's place; "encoder:1" is the
            second call of a shared layer, and over all calls of a layer the values are summed. None: the input itself,
            or for token ids the model's embedding layer.
    Raises:
        ValueError: if a setting is out of range, or, in `explain`, if the background does not fit the inputs; if the
            inputs are integers, `layer` is None, and the model has not one embedding layer.
    Source: Erion et al. 2021, arXiv:1906.10670; with noise, GradientExplainer of SHAP and Captum's GradientShap
    (Lundberg and Lee 2017, arXiv:1705.07874), which draw for each sample anew.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> method = ExpectedGradients(background=np.array([[0.0, 0.0], [2.0, 2.0]]), samples=100)
    >>> attribution = method.explain(model, [[5.0, 3.0]])
    >>> bool(np.allclose(attribution.values, [[4.0, 2.0]], atol=0.3))
    True
    """

    background: Any
    samples: int = 200
    noise: float = 0.0
    seed: int = 0
    layer: Any = None

    def __post_init__(self) -> None:
        check.integer("samples", self.samples)
        check.strength("noise", self.noise)
        check.integer("seed", self.seed, minimum=0)

    def attribute(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> dict[str, Any]:
        """See `Method.attribute`."""
        background = aligned("background", as_inputs(probe.model, self.background), inputs)
        predictions, scores = probe.predict(inputs, selections)
        selections = target.settle(selections, predictions)
        probe, layer = place.look(probe, inputs, self.layer)
        stop, rows = (probe.values(inputs), probe.values(background)) if layer else (inputs, background)
        steps = _Draws(rows, self.samples, float(self.noise), self.seed)
        zeros = keras.tree.map_structure(np.zeros_like, stop)
        rule = ChordPath(noisy=self.noise > 0)
        values = probe.accumulate(rule, inputs, selections, stop, zeros, steps)
        if differ(keras.tree.map_structure(lambda leaf: leaf[:1], rows), stop) or self.noise:
            warn_if_flat(values, f"layer {layer!r}" if layer else "the inputs")
        picked, counts = np.unique(steps.picks(), return_counts=True)
        rows = keras.tree.map_structure(lambda leaf: leaf[picked], rows)
        every = _replaced if layer else _predicted
        found = every(probe, inputs, stop, rows, selections)  # (N, rows)
        baseline_scores = (found @ (counts / self.samples)).astype("float32")
        return {
            "values": place.merge_calls(values) if layer else values,
            "target": target.record(selections),
            "predictions": predictions,
            "scores": scores,
            "baseline_scores": baseline_scores,
            "convergence_delta": sums(values) - (scores - baseline_scores),
            "layer": layer,
        }


GradientSHAP = ExpectedGradients  # the name in SHAP and Captum; what is stored is ExpectedGradients


@dataclass(frozen=True)
class ChordPath:
    """Rule of `Probe.accumulate`: at one place of the straight way from a row to the point.

    A step is (row, noise, place, weight): row and noise of one sample's shape, noise () where there is none.
    """

    noisy: bool

    def at(self, batched: Any, step: tuple) -> Any:
        """row + place · (point + noise - row)."""
        way = self._way(batched, step)
        return keras.tree.map_structure(lambda row, part: row + step[2] * part, step[0], way)

    def add(self, total: Any, gradient: Any, batched: Any, step: tuple) -> Any:
        """The total plus weight · gradient · way."""
        way = self._way(batched, step)
        return keras.tree.map_structure(lambda sums, part, along: sums + step[3] * part * along, total, gradient, way)

    def _way(self, batched: Any, step: tuple) -> Any:
        way = keras.tree.map_structure(lambda point, row: point - row, batched, step[0])
        return keras.tree.map_structure(lambda part, noise: part + noise, way, step[1]) if self.noisy else way


@dataclass(frozen=True)
class _Draws:
    """The steps, the same each time they are gone through."""

    rows: Any
    count: int
    noise: float
    seed: int

    def picks(self) -> np.ndarray:
        """(count,) row of each step."""
        return np.random.default_rng(self.seed).integers(0, len(keras.tree.flatten(self.rows)[0]), self.count)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple]:
        places = np.random.default_rng((self.seed, 0)).random(self.count)
        for step, (pick, spot) in enumerate(zip(self.picks(), places, strict=True)):
            row = keras.tree.map_structure(lambda leaf, pick=pick: leaf[pick], self.rows)
            draw = np.random.default_rng((self.seed, 1, step)).standard_normal
            noise = keras.tree.map_structure(lambda leaf, draw=draw: self.noise * draw(leaf.shape), row)
            yield row, noise if self.noise else (), spot, 1 / self.count


def _predicted(probe: "Probe", inputs: Any, stop: Any, rows: Any, selections: tuple[Selection, ...]) -> np.ndarray:
    """(N, rows) score of each row for each sample's target: one pass of the rows, whatever N."""
    samples, count = len(keras.tree.flatten(stop)[0]), len(keras.tree.flatten(rows)[0])

    def for_rows(sample: int) -> tuple[Selection, ...]:
        return tuple(
            replace(part, value=np.repeat(part.value[sample : sample + 1], count, 0))
            if part.kind != "function"
            else part
            for part in selections
        )

    outputs, _ = probe.predict(rows, for_rows(0))
    outputs = keras.tree.map_structure(ops.convert_to_tensor, outputs)
    found = [target.score(each, [part.value for part in each], outputs) for each in map(for_rows, range(samples))]
    return np.stack([ops.convert_to_numpy(scores) for scores in found])


def _replaced(probe: "Probe", inputs: Any, stop: Any, rows: Any, selections: tuple[Selection, ...]) -> np.ndarray:
    """(N, rows) score of each sample when the layer returns each row."""
    found = []
    for row in range(len(keras.tree.flatten(rows)[0])):
        start = keras.tree.map_structure(lambda every, end, row=row: np.broadcast_to(every[row], end.shape), rows, stop)
        found.append(probe.replaced(inputs, start, selections))
    return np.stack(found, 1)
