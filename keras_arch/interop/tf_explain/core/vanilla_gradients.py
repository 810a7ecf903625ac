"""The gradient of a class score."""

import warnings

import keras
import numpy as np

from keras_arch.explain.probe import Probe
from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.explainer import Explainer, gradients, images_of, scores_of_class

_ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Softmax,
)


class VanillaGradients(Explainer):
    """tf-explain's `VanillaGradients`: where a small change of the image changes the class score most.

    picture = standardized(Σ_c |∂s_k/∂x_c|).   s_k: score of the class before the last layer, an activation.

    Standardized over the batch, so a picture depends on the others in it; see `pictures.standardized`.

    Source: Simonyan et al. 2014, arXiv:1312.6034, who take the largest channel.

    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2),
    ...                           keras.layers.Softmax()])
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     VanillaGradients().explain((np.ones((1, 4, 4, 1)), None), model, 0).shape
    (4, 4)
    """

    departure = (
        "it sums over channels instead of taking the largest, and returns bytes that cut values off and depend on the "
        "other images of the batch."
    )
    instead = "Saliency"

    def explain(self, validation_data: tuple, model: keras.Model, class_index: int) -> np.ndarray:
        """Draw the gradients.

        Args:
            validation_data: (x, y) with images x (N, h, w, C); y is not read.
            model: a Keras model whose last layer is an activation that follows the scores; else it warns, and what
                the model returns is differentiated.
            class_index: the class.
        Returns:
            uint8 (r h, r w), r = ⌈√N⌉.
        """
        self._warn()
        Probe(model).survey(images_of(validation_data, model))  # builds the model where it was not
        return self.explain_score_model(validation_data, self.get_score_model(model), class_index)

    def get_score_model(self, model: keras.Model) -> keras.Model:
        """The model without its last layer if that is an activation; else it warns and returns the model."""
        last = model.layers[-1]
        if isinstance(last, _ACTIVATIONS) and getattr(model, "inputs", None):
            return keras.Model(model.inputs, last.input)
        warnings.warn(
            "model should end in an activation layer of its own, such as keras.layers.Softmax(), for the scores before "
            "it to be differentiated; what the model returns is. keras_arch.explain.Saliency finds logits itself: "
            "explain(..., output='logits').",
            UserWarning,
            stacklevel=3,
        )
        return model

    def explain_score_model(self, validation_data: tuple, score_model: keras.Model, class_index: int) -> np.ndarray:
        """As `explain`, with a model that returns scores."""
        self._warn()
        values = self._values(images_of(validation_data, score_model), score_model, class_index)
        return pictures.tiled(pictures.standardized(values))

    def _values(self, images: np.ndarray, model: keras.Model, class_index: int) -> np.ndarray:
        probe = Probe(model)
        return gradients(probe, images, scores_of_class(probe, images, class_index))
