"""Mean and variance of an explanation over noisy copies of a sample, in memory that does not grow with the copies."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.core.check import refuse
from keras_arch.explain import place, target
from keras_arch.explain.gradient.point import PointMethod, Reading
from keras_arch.explain.gradient.saliency import Saliency
from keras_arch.explain.method import Method, warn_if_flat
from keras_arch.explain.target import Selection

if TYPE_CHECKING:
    from keras_arch.explain.probe import Probe

SIGNED = Saliency(absolute=False)


class NoisyMethod(Method):
    """Base of the methods that explain noisy copies by another method.

    Its fields are `method`, `samples`, `noise`, `relative` and `seed`, as `SmoothGrad` says; `spread` is whether the
    variance is wanted.
    """

    spread = False
    method: Method
    samples: int
    noise: float
    relative: bool
    seed: int

    def __post_init__(self) -> None:
        if not isinstance(self.method, Method):
            raise refuse("method", "must be a method of explaining", self.method, "Pass for example Saliency().")
        check.integer("samples", self.samples)
        check.strength("noise", self.noise)
        check.integer("seed", self.seed, minimum=0)

    def moments(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> tuple[Any, Any, dict]:
        """Mean and variance (or None) of the values over the copies, and the other fields of the `Attribution`."""
        predictions, scores = probe.predict(inputs, selections)
        selections = target.settle(selections, predictions)
        if isinstance(self.method, PointMethod):
            mean, variance, path = self._compiled(probe, inputs, selections)
        else:
            mean, variance, path = self._one_by_one(probe, inputs, selections)
        warn_if_flat(mean if variance is None else [mean, variance], f"layer {path!r}" if path else "the inputs")
        rest = {"target": target.record(selections), "predictions": predictions, "scores": scores, "layer": path}
        return mean, variance, rest

    def _compiled(self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]) -> tuple[Any, Any, str | None]:
        """Noise where the gradient is taken, added and summed on the device."""
        probe, path = place.look(self.method.seen(probe), inputs, self.method.layer)
        point = probe.values(inputs) if path else inputs
        reading = self.method.reading(path is not None)
        zeros = keras.tree.map_structure(np.zeros_like, reading.shaped(point))
        steps = NoiseSteps(self.seed, self.samples, _shapes(point))
        batched, total = (point, self._scale(point)), (zeros, zeros) if self.spread else (zeros,)
        rule = NoisyReading(reading)
        sums = probe.accumulate(rule, inputs, selections, batched, total, steps)
        return *self._moments(sums), path

    def _one_by_one(
        self, probe: "Probe", inputs: Any, selections: tuple[Selection, ...]
    ) -> tuple[Any, Any, str | None]:
        """Noise at the inputs, one copy of all samples after the other."""
        kinds = {leaf.dtype for leaf in keras.tree.flatten(inputs) if leaf.dtype.kind != "f"}
        if kinds:
            raise ValueError(
                f"x must be floats to be blurred by noise; received dtype {kinds.pop()}. For token ids pass "
                f"{type(self).__name__}(method=Saliency()), InputXGradient() or GuidedBackprop(): these take the "
                "noise at the embedding."
            )
        bar = keras.utils.Progbar(self.samples) if probe.verbose else None
        scale, quiet = self._scale(inputs), replace(probe, verbose=False)
        total, path = (), None
        for noise, share in NoiseSteps(self.seed, self.samples, _shapes(inputs)):
            noisy = keras.tree.map_structure(_moved, inputs, scale, noise)
            found = self.method.attribute(quiet, noisy, selections)
            values, path = found["values"], found.get("layer")
            if not total:
                zeros = keras.tree.map_structure(np.zeros_like, values)
                total = (zeros, zeros) if self.spread else (zeros,)
            total = _update(total, values, share)
            if bar:
                bar.add(1)
        return *self._moments(total), path

    def _moments(self, total: tuple) -> tuple[Any, Any]:
        mean, *squares = total
        return mean, keras.tree.map_structure(lambda leaf: leaf / self.samples, squares[0]) if squares else None

    def _scale(self, point: Any) -> Any:
        """Standard deviation of each sample's noise, shape (N, 1, …)."""

        def scale(leaf: np.ndarray) -> np.ndarray:
            axes = tuple(range(1, leaf.ndim))
            unit = np.ptp(leaf, axis=axes, keepdims=True) if self.relative else np.ones((len(leaf),) + (1,) * len(axes))
            return (self.noise * unit).astype("float32")

        return keras.tree.map_structure(scale, point)


@dataclass(frozen=True)
class NoisyReading:
    """Rule of `Probe.accumulate`: mean, and summed squared distance from it, of what is read at noisy points.

    The total is (mean,) or (mean, squares), all zeros at first. A step is (noise, share): noise of one sample's shape
    for all samples, and 1 / number of steps so far.
    Source of the update: Welford 1962, doi:10.1080/00401706.1962.10490022.
    """

    reading: Reading

    def at(self, batched: tuple, step: tuple) -> Any:
        """point + scale · noise."""
        point, scale = batched
        return keras.tree.map_structure(_moved, point, scale, step[0])

    def add(self, total: tuple, gradient: Any, batched: tuple, step: tuple) -> tuple:
        """Mean, and where the total has them squares, after this step."""
        return _update(total, self.reading(self.at(batched, step), gradient), step[1])


@dataclass(frozen=True)
class NoiseSteps:
    """Standard normal noise for each step, of one sample's shape; every time it is gone through it is the same.

    Step k of a seed is the same noise whatever the number of samples and steps.

    >>> [noise.shape for noise, share in NoiseSteps(0, 2, np.zeros((3, 2)))]
    [(3, 2), (3, 2)]
    """

    seed: int
    count: int
    like: Any

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple]:
        for step in range(self.count):
            draw = np.random.default_rng((self.seed, step)).standard_normal
            noise = keras.tree.map_structure(lambda leaf, draw=draw: draw(leaf.shape, "float32"), self.like)
            yield noise, np.float32(1 / (step + 1))


def _shapes(point: Any) -> Any:
    return keras.tree.map_structure(lambda leaf: leaf[0], point)


def _moved(point: Any, scale: Any, noise: Any) -> Any:
    return point + scale * noise


def _update(total: tuple, values: Any, share: Any) -> tuple:
    mean, *squares = total
    new = keras.tree.map_structure(lambda old, value: old + share * (value - old), mean, values)
    return new, *(
        keras.tree.map_structure(
            lambda sums, old, now, value: sums + (value - old) * (value - now), part, mean, new, values
        )
        for part in squares
    )
