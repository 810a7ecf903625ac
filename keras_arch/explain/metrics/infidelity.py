"""Infidelity: how far an attribution misses what happens when the input is disturbed."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain import place
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.metrics.disturbance import GaussianNoise, draws
from keras_arch.explain.metrics.measurement import Measurement
from keras_arch.explain.metrics.metric import Metric
from keras_arch.explain.metrics.positions import fit
from keras_arch.explain.metrics.subject import Subject, rows_of


@register
@dataclass(frozen=True, eq=False, repr=False)
class Infidelity(Metric):
    """Mean squared error of an attribution as a forecast of how the score changes when the input is disturbed.

    value = mean over I of (β Iᵀa - (F(x) - F(x - I)))²,   β = 1
    with `normalized`   β = Σ (Iᵀa) (F(x) - F(x - I)) / Σ (Iᵀa)², 0 where a foretells no change at all.
    a: the attribution.   F: the score.   I: the disturbances, of which all samples get the same.

    Lower is better; 0 or more. For a linear score the gradient has 0. Maps of one channel stand for each channel. An
    attribution at a layer, such as an embedding, is judged by disturbing what that layer returns.

    Iᵀa asks for slopes, changes of the score for each unit of a feature, as gradients are. Methods that multiply with
    the way from a baseline give shares of the score, and a = share / (x - baseline), 0 where there is no way.

    Args:
        disturbance: `GaussianNoise`, `NoisyBaseline`, `SquareRemoval`, or a frozen value with their `baseline` and
            `draw`.
        draws: disturbances of each sample, >= 1.
        normalized: whether the attribution is scaled to its best.
        shares: whether the attribution is made of shares; None takes it to be if it knows a baseline. Without one, they
            are shares of the way from the disturbance's.
        seed: of the disturbances, >= 0.
    Raises:
        ValueError: if a setting breaks its rule, the attribution fits neither the inputs nor its layer, or the inputs
            are token ids and the attribution is not at a layer.
    Source: Yeh et al. 2019, arXiv:1901.09392, definition 2.1 and its optimal scaling; equals Captum's `infidelity`, and
    with `shares` what its `infidelity_perturb_func_decorator` makes of it.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 2.0]])
    >>> bool(ka.explain.metrics.Infidelity().measure(model, attribution).values[0] < 1e-12)
    True
    """

    direction: ClassVar[str] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    disturbance: Any = field(default_factory=GaussianNoise)
    draws: int = 64
    normalized: bool = False
    shares: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not callable(getattr(self.disturbance, "draw", None)):
            advice = "Pass for example SquareRemoval(side=3)."
            raise check.refuse("disturbance", "must have draw(shape, generator)", self.disturbance, advice)
        check.integer("draws", self.draws)
        check.integer("seed", self.seed, minimum=0)
        if not isinstance(self.normalized, bool):
            raise check.refuse("normalized", "must be a bool", self.normalized, "Pass True or False.")
        if not isinstance(self.shares, bool | None):
            raise check.refuse("shares", "must be a bool or None", self.shares, "Pass True, False or None.")

    def compute(self, subject: Subject) -> dict[str, Any]:
        """See `Metric.compute`."""
        leaves = keras.tree.flatten(subject.inputs)
        values = fit(subject.values, leaves, "feature")
        if values is None or any(
            leaf.dtype.kind != "f" for leaf, part in zip(leaves, values, strict=True) if part is not None
        ):
            forecast, scores = self._at_layer(subject)
        else:
            forecast, scores = self._at_inputs(subject, leaves, values)
        change = subject.scores[:, None].astype("float64") - scores
        scale = 1.0
        if self.normalized:
            square = (forecast**2).sum(axis=1, keepdims=True)
            scale = (forecast * change).sum(axis=1, keepdims=True) / np.where(square > 0, square, 1)
        return {"values": ((scale * forecast - change) ** 2).mean(axis=1).astype("float32")}

    def _at_inputs(self, subject: Subject, leaves: list, values: list) -> tuple[np.ndarray, np.ndarray]:
        """Iᵀa and F(x - I), (N, draws) each."""
        drawn = draws(self.disturbance, [leaf.shape[1:] for leaf in leaves], self.draws, self.seed)
        still = [part is None for part in values]
        drawn = [
            (np.zeros_like(mask), np.zeros_like(shift)) if stays else (mask, shift)
            for (mask, shift), stays in zip(drawn, still, strict=True)
        ]
        forecast = sum(
            self._forecast(self._slopes(subject, part, leaf, place), leaf, *pair)
            for place, (part, leaf, pair) in enumerate(zip(values, leaves, drawn, strict=True))
            if part is not None
        )
        base = np.float32(self.disturbance.baseline)

        def arguments(samples: np.ndarray, variants: np.ndarray) -> tuple:
            masks, shifts = ([pair[part][variants] for pair in drawn] for part in (0, 1))
            return masks, shifts, np.full(len(samples), base)

        return forecast, subject.probe.variants(subject.inputs, subject.selections, _disturb, self.draws, arguments)

    def _at_layer(self, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
        """The same where a layer's output is explained and disturbed."""
        value, name = subject.values[0], subject.attribution.layer
        shapes = [leaf.shape for leaf in keras.tree.flatten(subject.inputs)]
        if name is None or len(subject.values) > 1:
            raise ValueError(
                f"attribution must have values for float inputs, of their shapes {shapes} or with one channel, or be "
                f"at one layer; received values of shapes {[part.shape for part in subject.values]}. Explain a model "
                "of token ids at its embedding layer, and let class activation maps be spread over the input."
            )
        probe = subject.probe.at(place.locate(subject.model, name)[0])
        point = probe.values(subject.inputs)
        if isinstance(point, list) or point.shape != value.shape:
            found = [part.shape for part in keras.tree.flatten(point)]
            raise ValueError(
                f"attribution must have the shape that its layer {name!r} returns, {found}; received values of shape "
                f"{value.shape}. Explain one call of the layer, and let class activation maps be spread over the input."
            )
        [(mask, shift)] = draws(self.disturbance, [point.shape[1:]], self.draws, self.seed)
        found = []
        pairs = np.arange(subject.samples * self.draws)
        for first in range(0, len(pairs), subject.batch_size):
            rows, variants = np.divmod(pairs[first : first + subject.batch_size], self.draws)
            here = point[rows]
            less = here - mask[variants] * (here - np.float32(self.disturbance.baseline)) - shift[variants]
            inputs = keras.tree.map_structure(lambda leaf, rows=rows: leaf[rows], subject.inputs)
            found.append(probe.replaced(inputs, less, rows_of(subject.selections, rows)))
        return self._forecast(self._slopes(subject, value, point, 0), point, mask, shift), np.concatenate(
            found
        ).reshape(subject.samples, self.draws)

    def _slopes(self, subject: Subject, value: np.ndarray, x: np.ndarray, place: int) -> np.ndarray:
        """The attribution of one input as slopes, float64, of the input's shape."""
        value = np.broadcast_to(value, x.shape).astype("float64")
        known = subject.attribution.baseline
        if not (known is not None if self.shares is None else self.shares):
            return value
        starts = keras.tree.flatten(known)
        fits = place < len(starts) and np.shape(starts[place]) == x.shape
        way = x.astype("float64") - (starts[place] if fits else self.disturbance.baseline)
        return np.where(way != 0, value / np.where(way != 0, way, 1), 0)

    def _forecast(self, value: np.ndarray, x: np.ndarray, mask: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """(N, draws) Iᵀa of one input."""
        samples = len(x)
        weighed = value * (x.astype("float64") - self.disturbance.baseline)
        shapes = [np.broadcast_to(part, (self.draws, *x.shape[1:])) for part in (mask, shift)]
        masks, shifts = (part.reshape(self.draws, -1).astype("float64") for part in shapes)
        return weighed.reshape(samples, -1) @ masks.T + value.reshape(samples, -1) @ shifts.T


def _disturb(inputs: Any, masks: list, shifts: list, base: Any) -> Any:
    changed = []
    for leaf, mask, shift in zip(keras.tree.flatten(inputs), masks, shifts, strict=True):
        if keras.backend.is_float_dtype(keras.backend.standardize_dtype(leaf.dtype)):
            start = keras.ops.reshape(base, (-1, *[1] * (len(leaf.shape) - 1)))
            leaf = leaf - mask * (leaf - start) - shift
        changed.append(leaf)
    return keras.tree.pack_sequence_as(inputs, changed) if keras.tree.is_nested(inputs) else changed[0]


def infidelity(
    model: Any,
    attribution: Attribution,
    *,
    disturbance: Any = GaussianNoise(),  # noqa: B008, a frozen value
    draws: int = 64,
    normalized: bool = False,
    shares: bool | None = None,
    seed: int = 0,
    **options: Any,
) -> Measurement:
    """Measure how far an attribution misses what happens when the input is disturbed: `Infidelity` at one call.

    Args:
        model: the Keras model that was explained.
        attribution: what a method returned.
        disturbance: see `Infidelity`, as for the next four.
        draws: disturbances of each sample.
        normalized: whether the attribution is scaled to its best.
        shares: whether the attribution is made of shares of the score, not of slopes.
        seed: of the disturbances.
        **options: target, output, batch_size and verbose of `Metric.measure`.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[3.0, 3.0]])
    >>> removal = ka.explain.metrics.SquareRemoval(side=1)
    >>> wrong = ka.explain.metrics.infidelity(model, attribution, disturbance=removal, shares=False)  # 3 · 3 for 3
    >>> wrong.values.round(3).tolist()
    [36.0]
    """
    return Infidelity(disturbance, draws, normalized, shares, seed).measure(model, attribution, **options)
