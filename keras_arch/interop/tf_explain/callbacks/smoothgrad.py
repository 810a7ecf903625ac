"""`SmoothGrad` at the end of every epoch."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_arch.interop.tf_explain.core.smoothgrad import SmoothGrad
from keras_arch.interop.tf_explain.picture_callback import PictureCallback


class SmoothGradCallback(PictureCallback):
    """tf-explain's `SmoothGradCallback`: a picture of `SmoothGrad` for TensorBoard, every epoch.

    Args:
        validation_data: (x, y) with images x (N, h, w, C); y is not read.
        class_index: the class.
        num_samples: noisy copies of each image.
        noise: standard deviation of the noise.
        output_dir: a folder named after the time is made in it.

    >>> SmoothGradCallback((np.zeros((1, 4, 4, 3)), None), class_index=0, output_dir="logs").tag
    'SmoothGrad'
    """

    def __init__(
        self,
        validation_data: tuple,
        class_index: int,
        num_samples: int = 5,
        noise: float = 1.0,
        output_dir: Any = Path("./logs/smoothgrad"),
    ) -> None:
        super().__init__(validation_data, output_dir, "SmoothGrad")
        self.class_index = class_index
        self.num_samples = num_samples
        self.noise = noise

    def picture(self) -> np.ndarray:
        """Draw `self.model` as it is now."""
        return SmoothGrad().explain(self.validation_data, self.model, self.class_index, self.num_samples, self.noise)
