"""`IntegratedGradients` at the end of every epoch."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_arch.interop.tf_explain.core.integrated_gradients import IntegratedGradients
from keras_arch.interop.tf_explain.picture_callback import PictureCallback


class IntegratedGradientsCallback(PictureCallback):
    """tf-explain's `IntegratedGradientsCallback`: a picture of `IntegratedGradients` for TensorBoard, every epoch.

    Args:
        validation_data: (x, y) with images x (N, h, w, C); y is not read.
        class_index: the class.
        n_steps: gradients on the way, both ends included, >= 2.
        output_dir: a folder named after the time is made in it.

    >>> IntegratedGradientsCallback((np.zeros((1, 4, 4, 3)), None), class_index=0, output_dir="logs").tag
    'IntegratedGradients'
    """

    def __init__(
        self,
        validation_data: tuple,
        class_index: int,
        n_steps: int = 5,
        output_dir: Any = Path("./logs/integrated_gradients"),
    ) -> None:
        super().__init__(validation_data, output_dir, "IntegratedGradients")
        self.class_index = class_index
        self.n_steps = n_steps

    def picture(self) -> np.ndarray:
        """Draw `self.model` as it is now."""
        return IntegratedGradients().explain(self.validation_data, self.model, self.class_index, self.n_steps)
