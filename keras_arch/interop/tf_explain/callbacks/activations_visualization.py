"""`ExtractActivations` at the end of every epoch."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_arch.interop.tf_explain.core.activations import ExtractActivations
from keras_arch.interop.tf_explain.picture_callback import PictureCallback


class ActivationsVisualizationCallback(PictureCallback):
    """tf-explain's `ActivationsVisualizationCallback`: a picture of `ExtractActivations` for TensorBoard, every epoch.

    Args:
        validation_data: (x, y) with images x (N, h, w, C); y is not read.
        layers_name: list with the name or path of one layer that returns (N, h', w', K).
        output_dir: a folder named after the time is made in it.

    >>> ActivationsVisualizationCallback((np.zeros((1, 4, 4, 3)), None), layers_name=["conv"], output_dir="logs").tag
    'Activations Visualization'
    """

    def __init__(
        self,
        validation_data: tuple,
        layers_name: Any,
        output_dir: Any = Path("./logs/activations_visualizations"),
    ) -> None:
        super().__init__(validation_data, output_dir, "Activations Visualization")
        self.layers_name = layers_name

    def picture(self) -> np.ndarray:
        """Draw `self.model` as it is now."""
        return ExtractActivations().explain(self.validation_data, self.model, self.layers_name)
