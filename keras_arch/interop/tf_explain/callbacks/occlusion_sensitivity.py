"""`OcclusionSensitivity` at the end of every epoch."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_arch.interop.tf_explain.core.occlusion_sensitivity import OcclusionSensitivity
from keras_arch.interop.tf_explain.picture_callback import PictureCallback


class OcclusionSensitivityCallback(PictureCallback):
    """tf-explain's `OcclusionSensitivityCallback`: a picture of `OcclusionSensitivity` for TensorBoard, every epoch.

    Args:
        validation_data: (x, y) with images x (N, h, w, C); y is not read.
        class_index: the class.
        patch_size: side of the patch, pixels.
        output_dir: a folder named after the time is made in it.

    >>> OcclusionSensitivityCallback((np.zeros((1, 4, 4, 3)), None), class_index=0, patch_size=2, output_dir="logs").tag
    'Occlusion Sensitivity'
    """

    def __init__(
        self,
        validation_data: tuple,
        class_index: int,
        patch_size: int,
        output_dir: Any = Path("./logs/occlusion_sensitivity"),
    ) -> None:
        super().__init__(validation_data, output_dir, "Occlusion Sensitivity")
        self.class_index = class_index
        self.patch_size = patch_size

    def picture(self) -> np.ndarray:
        """Draw `self.model` as it is now."""
        return OcclusionSensitivity().explain(self.validation_data, self.model, self.class_index, self.patch_size)
