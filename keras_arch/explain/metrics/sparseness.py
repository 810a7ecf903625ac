"""Sparseness: how unequal the attributions are."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_arch.core.registration import register
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.metrics.measurement import Measurement
from keras_arch.explain.metrics.metric import Metric
from keras_arch.explain.metrics.subject import Subject


@register
@dataclass(frozen=True, eq=False, repr=False)
class Sparseness(Metric):
    """Gini index of the absolute attributions.

    value = Σₖ (2k - D - 1) a₍ₖ₎ / (D Σₖ a₍ₖ₎),   a₍₁₎ <= … <= a₍D₎: the absolute attributions of a sample, sorted.
    D: numbers in the attribution of a sample.

    Higher is better: few features explain. Between 0, where all are equal or zero, and 1 - 1/D, where one has all.
    All numbers of all inputs count, channels one by one. The model is not read.

    Source: Chalasani et al. 2020, arXiv:1810.06583; Hurley and Rickard 2009, arXiv:0811.4706.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 0.0]])
    >>> ka.explain.metrics.Sparseness().measure(model, attribution).values.tolist()
    [0.5]
    """

    direction: ClassVar[str] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def compute(self, subject: Subject) -> dict[str, Any]:
        """See `Metric.compute`."""
        size = np.sort(np.abs(subject.flat), axis=1)
        count = size.shape[1]
        total = size.sum(axis=1)
        weighted = (2 * np.arange(1, count + 1) - count - 1) * size
        values = weighted.sum(axis=1) / (count * np.where(total > 0, total, 1))
        most = float(np.float32(1 - 1 / count))  # what the values can reach once they are float32
        return {"values": np.clip(values, 0, most).astype("float32"), "range": (0.0, most)}


def sparseness(model: Any, attribution: Attribution, **options: Any) -> Measurement:
    """Measure how unequal the attributions are: `Sparseness` at one call.

    Args:
        model: not read; None will do.
        attribution: what a method returned.
        **options: target, output, batch_size and verbose of `Metric.measure`, which change nothing here.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[2.0, 2.0]])
    >>> ka.explain.metrics.sparseness(model, attribution).values.tolist()
    [0.0]
    """
    return Sparseness().measure(model, attribution, **options)
