"""The gradient of a class score, times the image."""

import keras
import numpy as np

from keras_arch.interop.tf_explain.core.vanilla_gradients import VanillaGradients


class GradientsInputs(VanillaGradients):
    """tf-explain's `GradientsInputs`: `VanillaGradients` with x · ∂s_k/∂x in place of ∂s_k/∂x.

    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2),
    ...                           keras.layers.Softmax()])
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     GradientsInputs().explain((np.ones((1, 4, 4, 1)), None), model, 0).shape
    (4, 4)
    """

    departure = (
        "it drops the sign, sums over channels, and returns bytes that cut values off and depend on the other images "
        "of the batch."
    )
    instead = "InputXGradient"

    def _values(self, images: np.ndarray, model: keras.Model, class_index: int) -> np.ndarray:
        return images * super()._values(images, model, class_index)
