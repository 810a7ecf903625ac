"""Complexity: over how many features an attribution spreads."""

import math
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
class Complexity(Metric):
    """Entropy of how the absolute attributions are shared out.

    value = -Σᵢ pᵢ ln pᵢ,   pᵢ = |aᵢ| / Σⱼ |aⱼ|.   a: the D numbers in the attribution of a sample.

    Lower is better. Between 0, where one feature has all, and ln D, where all are equal; exp(value) is an effective
    number of features. An attribution of zeros singles nothing out and has ln D. All numbers of all inputs count,
    channels one by one. The model is not read.

    Source: Bhatt, Weller and Moura 2020, arXiv:2005.00631.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 1.0]])
    >>> np.exp(ka.explain.metrics.Complexity().measure(model, attribution).values).round(4).tolist()
    [2.0]
    """

    direction: ClassVar[str] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def compute(self, subject: Subject) -> dict[str, Any]:
        """See `Metric.compute`."""
        size = np.abs(subject.flat)
        count = size.shape[1]
        total = size.sum(axis=1, keepdims=True)
        share = np.where(total > 0, size / np.where(total > 0, total, 1), 1 / count)
        entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
        most = float(np.float32(math.log(count)))  # what the values can reach once they are float32
        return {"values": np.clip(entropy + 0.0, 0, most).astype("float32"), "range": (0.0, most)}


def complexity(model: Any, attribution: Attribution, **options: Any) -> Measurement:
    """Measure over how many features an attribution spreads: `Complexity` at one call.

    Args:
        model: not read; None will do.
        attribution: what a method returned.
        **options: target, output, batch_size and verbose of `Metric.measure`, which change nothing here.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> attribution = ka.explain.IntegratedGradients().explain(model, [[1.0, 0.0]])
    >>> ka.explain.metrics.complexity(model, attribution).values.tolist()
    [0.0]
    """
    return Complexity().measure(model, attribution, **options)
