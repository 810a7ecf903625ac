"""Max-sensitivity: how much an explanation changes when the input hardly does."""

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.core.registration import register
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.metrics.measurement import Measurement
from keras_arch.explain.metrics.metric import Metric
from keras_arch.explain.metrics.subject import Subject


@register
@dataclass(frozen=True, eq=False, repr=False)
class MaxSensitivity(Metric):
    """Largest relative change of an attribution within a small box around the input.

    value = max over δ of ‖a(x + δ) - a(x)‖ / ‖a(x)‖,   δ uniform in [-radius, radius] in each feature
    a: the attribution, by its own method, for the target of x.   ‖·‖: the Euclidean norm over all numbers of a sample.

    Lower is better; 0 or more. Where a(x) is zero the change itself is the value. All samples get the same δ.

    Args:
        radius: of the box, in the input's unit, > 0.
        draws: δ for each sample, >= 1; the maximum over more of them can only be larger.
        seed: of the draws, >= 0.
    Raises:
        ValueError: if a setting breaks its rule, the attribution does not know its method or was made for another
            output or model, or no input is of floats.
    Source: Yeh et al. 2019, arXiv:1901.09392, section 3; equals Captum's `sensitivity_max`.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[3.0, 4.0]])
    >>> sensitivity = ka.explain.metrics.MaxSensitivity(radius=0.5).measure(model, attribution).values
    >>> bool(0 < sensitivity[0] < 0.5 * 2 ** 0.5 / 5)
    True
    """

    direction: ClassVar[str] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    radius: float = 0.02
    draws: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        check.real("radius", self.radius, minimum=0, maximum=float("inf"), open_minimum=True, open_maximum=True)
        check.integer("draws", self.draws)
        check.integer("seed", self.seed, minimum=0)

    def compute(self, subject: Subject) -> dict[str, Any]:
        """See `Metric.compute`."""
        leaves = keras.tree.flatten(subject.inputs)
        if all(leaf.dtype.kind != "f" for leaf in leaves):
            raise ValueError(
                f"attribution must be of inputs that can change by little; received inputs of dtype {leaves[0].dtype}. "
                "Token ids have no neighbourhood: judge such a model by deletion or infidelity."
            )
        shifts = self._shifts([leaf.shape[1:] for leaf in leaves])
        method, original = subject.method, subject.flat
        pairs = np.arange(subject.samples * self.draws)
        changes = np.empty(len(pairs))
        for first in range(0, len(pairs), subject.batch_size):
            here = pairs[first : first + subject.batch_size]
            rows, variants = np.divmod(here, self.draws)
            moved = [
                leaf[rows] + shift[variants] if leaf.dtype.kind == "f" else leaf[rows]
                for leaf, shift in zip(leaves, shifts, strict=True)
            ]
            inputs = subject.inputs
            inputs = keras.tree.pack_sequence_as(inputs, moved) if keras.tree.is_nested(inputs) else moved[0]
            again = subject.explain_again(subject.model, method, inputs, rows)
            flat = [np.reshape(leaf, (len(rows), -1)) for leaf in keras.tree.flatten(again.values)]
            changes[here] = np.linalg.norm(np.concatenate(flat, axis=1) - original[rows], axis=1)
        size = np.linalg.norm(original, axis=1)
        largest = changes.reshape(subject.samples, self.draws).max(axis=1)
        return {"values": (largest / np.where(size > 0, size, 1)).astype("float32")}

    def _shifts(self, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        """(draws, *shape) for each input; draw k does not depend on how many there are."""
        found: list[list] = [[] for _ in shapes]
        for number in range(self.draws):
            generator = np.random.default_rng([self.seed, number])
            for kept, shape in zip(found, shapes, strict=True):
                kept.append(generator.uniform(-self.radius, self.radius, shape).astype("float32"))
        return [np.stack(kept) for kept in found]


def max_sensitivity(
    model: Any,
    attribution: Attribution,
    *,
    radius: float = 0.02,
    draws: int = 10,
    seed: int = 0,
    **options: Any,
) -> Measurement:
    """Measure how much an explanation changes when the input hardly does: `MaxSensitivity` at one call.

    Args:
        model: the Keras model that was explained.
        attribution: what a method returned; it is asked again.
        radius: see `MaxSensitivity`, as for the next two.
        draws: moved versions of each sample.
        seed: of the draws.
        **options: target, output, batch_size and verbose of `Metric.measure`.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[3.0, 4.0]])
    >>> ka.explain.metrics.max_sensitivity(model, attribution, draws=20).values.shape
    (1,)
    """
    return MaxSensitivity(radius, draws, seed).measure(model, attribution, **options)
