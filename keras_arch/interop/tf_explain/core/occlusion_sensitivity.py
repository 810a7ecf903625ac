"""How far the class falls where a gray patch covers the image."""

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.explain.probe import Probe
from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.explainer import Explainer, images_of, scores_of_class


class OcclusionSensitivity(Explainer):
    """tf-explain's `OcclusionSensitivity`: 1 - f_k of the image with a gray patch on it, place after place.

    f_k: what the model returns for the class. The patch has the value 127.5, whatever the range of the image. For
    images that are not square the patches are put, and the map is laid out, as tf-explain does: with rows and columns
    exchanged.

    Args:
        batch_size: images per call; None for 32.

    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     OcclusionSensitivity().explain((np.ones((1, 4, 4, 1)), None), model, 0, patch_size=2).shape
    (4, 4, 3)
    """

    departure = (
        "its patch is 127.5 whatever the range of the image, it maps 1 - f instead of the fall of the score, stretches "
        "each map, and exchanges rows and columns of images that are not square."
    )
    instead = "Occlusion"

    def __init__(self, batch_size: int | None = None) -> None:
        self.batch_size = batch_size

    def explain(
        self,
        validation_data: tuple,
        model: keras.Model,
        class_index: int,
        patch_size: int,
        colormap: int = pictures.VIRIDIS,
    ) -> np.ndarray:
        """Draw the maps.

        Args:
            validation_data: (x, y) with images x (N, h, w, 3) or (N, h, w, 1); y is not read.
            model: any Keras model that returns (N, K).
            class_index: the class.
            patch_size: side of the patch, pixels.
            colormap: OpenCV's number of a colormap; 16 is viridis.
        Returns:
            uint8 (r h, r w, 3), r = ⌈√N⌉.
        Raises:
            ValueError: if an argument does not fit.
        """
        check.integer("patch_size", patch_size)
        self._warn()
        images_of(validation_data, model)
        original = np.asarray(validation_data[0])
        over = [
            pictures.overlaid(self.get_sensitivity_map(model, image, class_index, patch_size), image, colormap)
            for image in original
        ]
        return pictures.tiled(np.stack(over))

    def get_sensitivity_map(
        self, model: keras.Model, image: np.ndarray, class_index: int, patch_size: int
    ) -> np.ndarray:
        """1 - f_k for each patch, spread over the image.

        Args:
            model: any Keras model that returns (N, K).
            image: (h, w, C).
            class_index: the class.
            patch_size: side of the patch, pixels.
        Returns:
            float64 (w, h).
        """
        height, width = image.shape[:2]
        # Corners run over the image's first axis for columns and over its second for rows.
        corners = [(row, column) for column in range(0, height, patch_size) for row in range(0, width, patch_size)]
        covered = np.repeat(image[None], len(corners), axis=0)
        for one, (row, column) in zip(covered, corners, strict=True):
            one[row : row + patch_size, column : column + patch_size] = 127.5
        covered = covered.astype("float32")
        probe = Probe(model, batch_size=self.batch_size or 32)
        if len(probe.survey(covered).outputs.shape) != 2:
            advice = "Use keras_arch.explain.Occlusion."
            raise check.refuse("model", "must return one number for each class", model, advice)
        _, scores = probe.predict(covered, scores_of_class(probe, covered, class_index))
        rows, columns = -(-height // patch_size), -(-width // patch_size)
        maps = (1 - scores).astype("float64").reshape(columns, rows).T  # (rows, columns)
        return pictures.resized(maps, (width, height))
