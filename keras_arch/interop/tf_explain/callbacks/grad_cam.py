"""`GradCAM` at the end of every epoch."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_arch.interop.tf_explain.core.grad_cam import GradCAM
from keras_arch.interop.tf_explain.picture_callback import PictureCallback


class GradCAMCallback(PictureCallback):
    """tf-explain's `GradCAMCallback`: a picture of `GradCAM` for TensorBoard, every epoch.

    Args:
        validation_data: (x, y) with images x (N, h, w, C); y is not read.
        class_index: the class.
        layer_name: name or path of the layer; None for the last one of the model with four axes.
        output_dir: a folder named after the time is made in it.
        use_guided_grads: whether gradients count only where they and the feature are positive.

    >>> GradCAMCallback((np.zeros((1, 4, 4, 3)), None), class_index=0, output_dir="logs").tag
    'Grad CAM'
    """

    def __init__(
        self,
        validation_data: tuple,
        class_index: int,
        layer_name: str | None = None,
        output_dir: Any = Path("./logs/grad_cam"),
        use_guided_grads: bool = True,
    ) -> None:
        super().__init__(validation_data, output_dir, "Grad CAM")
        self.class_index = class_index
        self.layer_name = layer_name
        self.use_guided_grads = use_guided_grads

    def picture(self) -> np.ndarray:
        """Draw `self.model` as it is now."""
        return GradCAM().explain(
            self.validation_data, self.model, self.class_index, self.layer_name, self.use_guided_grads
        )
