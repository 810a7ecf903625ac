"""Gradients of the class, averaged on the way from black."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.explain.probe import Probe
from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.explainer import Explainer, images_of, scores_of_class


@dataclass(frozen=True)
class _MeanFromZero:
    """Rule of `Probe.accumulate`: a step is (share of the image, weight of the gradient there)."""

    def at(self, batched: Any, step: tuple) -> Any:
        return step[0] * batched

    def add(self, total: Any, gradient: Any, batched: Any, step: tuple) -> Any:
        return total + step[1] * gradient


class IntegratedGradients(Explainer):
    """tf-explain's `IntegratedGradients`: the mean gradient on the straight way from a black image, without the way.

    picture = standardized(Σ_c |1/n Σ_i ∂f_k/∂x_c (i / (n - 1) · x)|),   i = 0 … n - 1.   f_k: what the model returns.

    Standardized over the batch, so a picture depends on the others in it; see `pictures.standardized`.

    Source: Sundararajan et al. 2017, arXiv:1703.01365, who multiply by the way, x - baseline.

    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     IntegratedGradients().explain((np.ones((1, 4, 4, 1)), None), model, 0).shape
    (4, 4)
    """

    departure = (
        "it leaves out the factor (x - baseline), so that values do not add up to the score, drops the sign, and "
        "returns bytes that cut values off and depend on the other images of the batch."
    )
    instead = "IntegratedGradients"

    def explain(self, validation_data: tuple, model: keras.Model, class_index: int, n_steps: int = 10) -> np.ndarray:
        """Draw the mean gradients.

        Args:
            validation_data: (x, y) with images x (N, h, w, C); y is not read.
            model: any Keras model.
            class_index: the class.
            n_steps: n, gradients on the way, both ends included, >= 2.
        Returns:
            uint8 (r h, r w), r = ⌈√N⌉.
        Raises:
            ValueError: if an argument does not fit.
        """
        check.integer("n_steps", n_steps, minimum=2)
        self._warn()
        images = images_of(validation_data, model)
        probe = Probe(model)
        selections = scores_of_class(probe, images, class_index)
        steps = [(share, 1 / n_steps) for share in np.linspace(0, 1, n_steps)]
        mean = probe.accumulate(_MeanFromZero(), images, selections, images, np.zeros_like(images), steps)
        return pictures.tiled(pictures.standardized(mean))
