"""`VanillaGradients` at the end of every epoch."""

from typing import Any, ClassVar

import keras
import numpy as np

from keras_arch.interop.tf_explain.core.vanilla_gradients import VanillaGradients
from keras_arch.interop.tf_explain.picture_callback import PictureCallback


class VanillaGradientsCallback(PictureCallback):
    """tf-explain's `VanillaGradientsCallback`: writes the picture for TensorBoard at the end of every epoch.

    Args:
        validation_data: (x, y) with images x (N, h, w, C); y is not read.
        class_index: the class.
        output_dir: a folder named after the time is made in it; None for "./logs/vanilla_gradients".

    >>> VanillaGradientsCallback((np.zeros((1, 4, 4, 3)), None), class_index=0).tag
    'VanillaGradients'
    """

    explainer: ClassVar[VanillaGradients] = VanillaGradients()
    default_output_subdir: ClassVar[str] = "vanilla_gradients"

    def __init__(self, validation_data: tuple, class_index: int, output_dir: Any = None) -> None:
        output_dir = output_dir or f"./logs/{self.default_output_subdir}"
        super().__init__(validation_data, output_dir, type(self.explainer).__name__)
        self.class_index = class_index
        self.score_model = None

    def set_model(self, model: keras.Model) -> None:
        """Take the model of the fit, and what comes before its last activation."""
        super().set_model(model)
        self.score_model = self.explainer.get_score_model(model)

    def picture(self) -> np.ndarray:
        """Draw `self.score_model` as it is now."""
        return self.explainer.explain_score_model(self.validation_data, self.score_model, self.class_index)
