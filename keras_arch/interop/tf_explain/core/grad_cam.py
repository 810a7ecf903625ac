"""Class activation maps over images."""

import keras
import numpy as np

from keras_arch.core import check
from keras_arch.explain import place
from keras_arch.explain.probe import Probe
from keras_arch.interop.tf_explain import pictures
from keras_arch.interop.tf_explain.explainer import Explainer, images_of, scores_of_class


class GradCAM(Explainer):
    """tf-explain's `GradCAM`: feature maps weighted by mean gradients, in color over the images.

    map = Σ_c A_c · mean over positions of G_c,   G = ∂f_k/∂A, or (A > 0) (∂f_k/∂A > 0) ∂f_k/∂A where guided.
    A: the layer's output, c: its channel.   f_k: what the model returns for the class.

    Each map is stretched from its smallest to its largest value, without the ReLU of the paper.

    Source: Selvaraju et al. 2017, arXiv:1610.02391.

    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 2, name="conv"),
    ...                           keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     GradCAM().explain((np.ones((2, 4, 4, 1)), None), model, 0).shape
    (8, 8, 3)
    """

    departure = (
        "it takes guided gradients unless use_guided_grads=False, cuts nothing off that speaks against the class, and "
        "stretches each map, so that pictures of several images cannot be compared."
    )
    instead = "GradCAM"

    def explain(
        self,
        validation_data: tuple,
        model: keras.Model,
        class_index: int,
        layer_name: str | None = None,
        use_guided_grads: bool = True,
        colormap: int = pictures.VIRIDIS,
        image_weight: float = 0.7,
    ) -> np.ndarray:
        """Draw the maps.

        Args:
            validation_data: (x, y) with images x (N, h, w, 3) or (N, h, w, 1); y is not read.
            model: any Keras model.
            class_index: the class.
            layer_name: name or path of a layer that returns (N, h', w', K); None for the last one of the model.
            use_guided_grads: whether gradients count only where they and the feature are positive.
            colormap: OpenCV's number of a colormap; 16 is viridis.
            image_weight: of the image under the map.
        Returns:
            uint8 (r h, r w, 3), r = ⌈√N⌉.
        Raises:
            ValueError: if an argument does not fit.
        """
        self._warn()
        images = images_of(validation_data, model)
        probe = Probe(model)
        selections = scores_of_class(probe, images, class_index)
        name = self.infer_grad_cam_target_layer(model) if layer_name is None else layer_name
        maps = []
        for chunk in probe.at(place.locate(model, name)[0]).gradients(images, selections):
            if isinstance(chunk.point, list) or len(chunk.point.shape) != 4:
                advice = "Choose a layer before pooling that is called once."
                raise check.refuse("layer_name", "must name a layer that returns (N, h, w, K)", name, advice)
            features, slope = map(keras.ops.convert_to_numpy, (chunk.point, chunk.gradient))
            slope = slope * (features > 0) * (slope > 0) if use_guided_grads else slope
            maps.append(np.einsum("nhwc,nc->nhw", features, slope.mean((1, 2))))
        original = np.asarray(validation_data[0])
        over = [
            pictures.overlaid(one, image, colormap, image_weight)
            for one, image in zip(np.concatenate(maps), original, strict=True)
        ]
        return pictures.tiled(np.stack(over))

    @staticmethod
    def infer_grad_cam_target_layer(model: keras.Model) -> str:
        """Name of the last layer of the model, not of nested ones, whose output has four axes.

        Raises:
            ValueError: if there is none.
        """
        for layer in reversed(model.layers):
            if len(getattr(getattr(layer, "output", None), "shape", ())) == 4:
                return layer.name
        advice = "Pass layer_name, the path of a layer that returns (N, h, w, K)."
        raise check.refuse("model", "must have a layer whose output has four axes", model, advice)
