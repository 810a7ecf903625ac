"""Gradients of the loss of a class, averaged over noise."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.core import check
from keras_arch.explain import target
from keras_arch.explain.probe import Probe
from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.explainer import Explainer, gradients, images_of, scores_of_class


class SmoothGrad(Explainer):
    """tf-explain's `SmoothGrad`: the gradient of the cross-entropy of a class, averaged over noisy copies of an image.

    picture = standardized(Σ_c |1/n Σ_i ∂L/∂x_c (x + e_i)|),   L = -log f_k,   e_i: normal noise.

    The noise is drawn from NumPy's global state, so `np.random.seed` gives tf-explain's pictures. Standardized over
    the batch, so a picture depends on the others in it; see `pictures.standardized`.

    Source: Smilkov et al. 2017, arXiv:1706.03825, who differentiate the class score.

    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(),
    ...                           keras.layers.Dense(2, activation="softmax")])
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     SmoothGrad().explain((np.ones((1, 4, 4, 1)), None), model, 0).shape
    (4, 4)
    """

    departure = (
        "it differentiates the cross-entropy instead of the class score, takes noise of deviation 1 whatever the range "
        "of the image, and returns bytes that cut values off and depend on the other images of the batch."
    )
    instead = "SmoothGrad"

    def explain(
        self,
        validation_data: tuple,
        model: keras.Model,
        class_index: int,
        num_samples: int = 5,
        noise: float = 1.0,
    ) -> np.ndarray:
        """Draw the mean gradients.

        Args:
            validation_data: (x, y) with images x (N, h, w, C); y is not read.
            model: any Keras model that returns probabilities (N, K).
            class_index: the class.
            num_samples: n, noisy copies of each image.
            noise: standard deviation of the noise.
        Returns:
            uint8 (r h, r w), r = ⌈√N⌉.
        Raises:
            ValueError: if an argument does not fit.
        """
        check.integer("num_samples", num_samples)
        self._warn()
        images = images_of(validation_data, model)
        probe = Probe(model)
        outputs = probe.survey(images).outputs
        scores_of_class(probe, images, class_index)  # its checks
        if len(outputs.shape) != 2:
            advice = "Use keras_arch.explain.SmoothGrad."
            raise check.refuse("model", "must return probabilities (N, K)", tuple(outputs.shape), advice)
        copies = np.repeat(images, num_samples, axis=0)
        copies = copies + np.random.normal(0, noise, copies.shape).astype("float32")  # noqa: NPY002 tf-explain's source
        selections = target.select(_cross_entropy(int(class_index)), outputs, len(copies))
        found = gradients(probe, copies, selections)
        mean = found.reshape(-1, num_samples, *found.shape[1:]).mean(1)  # (N, h, w, C)
        return pictures.tiled(pictures.standardized(mean))


@functools.cache
def _cross_entropy(class_index: int) -> Callable[[Any], Any]:
    """The loss of one class, one function for ever, so that nothing is traced twice."""

    def loss(outputs: Any) -> Any:
        wanted = ops.zeros_like(outputs) + ops.one_hot(class_index % outputs.shape[1], outputs.shape[1])
        return keras.losses.categorical_crossentropy(wanted, outputs)

    return loss
