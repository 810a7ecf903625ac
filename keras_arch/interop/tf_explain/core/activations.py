"""What a layer returns, channel by channel."""

from typing import Any

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.explain import place
from keras_arch.explain.probe import Probe
from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.explainer import Explainer, images_of


class ExtractActivations(Explainer):
    """tf-explain's `ExtractActivations`: a grid of all channels of a layer's output.

    The smallest number of all samples and channels is black and the largest white, so tiles can be compared.

    Args:
        batch_size: samples per call; None for 32.

    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 1, name="conv")])
    >>> grid = ExtractActivations().explain((np.random.default_rng(0).random((2, 4, 4, 1)), None), model, ["conv"])
    >>> grid.shape, grid.dtype, int(grid.max())
    ((12, 12), dtype('uint8'), 255)
    """

    def __init__(self, batch_size: int | None = None) -> None:
        self.batch_size = batch_size

    def explain(self, validation_data: tuple, model: keras.Model, layers_name: Any) -> np.ndarray:
        """Draw the activations.

        Args:
            validation_data: (x, y) with images x (N, h, w, C); y is not read.
            model: any Keras model.
            layers_name: list with the name or path of one layer that returns (N, h', w', K).
        Returns:
            uint8 (r h', r w'), tiles of sample after sample within channel after channel, r = ⌈√(N K)⌉.
        Raises:
            ValueError: if it is not one layer, or its output has no two axes of positions.
        """
        names = [layers_name] if isinstance(layers_name, str) else list(layers_name)
        if len(names) != 1:
            advice = "tf-explain fails with several: call it once for each."
            raise check.refuse("layers_name", "must name one layer", layers_name, advice)
        images = images_of(validation_data, model)
        probe = Probe(model, batch_size=self.batch_size or 32)
        probe.survey(images)
        maps = probe.at(place.locate(model, names[0])[0]).values(images)
        if isinstance(maps, list) or maps.ndim != 4:
            shape = "several outputs" if isinstance(maps, list) else maps.shape
            raise check.refuse("layers_name", "must name a layer that returns (N, h, w, K)", shape, "Choose another.")
        tiles = np.moveaxis(maps, -1, 1).reshape(-1, *maps.shape[1:3])  # (N K, h', w')
        grid = pictures.tiled(tiles)
        low, high = grid.min(), grid.max()
        return ((grid - low) / (high - low) * 255).astype("uint8") if high > low else np.zeros(grid.shape, "uint8")
