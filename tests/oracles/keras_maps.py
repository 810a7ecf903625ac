"""Features of the twin network and their gradient, through a model cut in two."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_arch.ops.gradients import gradients


def features_and_gradient(model: keras.Model, x: np.ndarray, classes: list) -> tuple[np.ndarray, np.ndarray]:
    """What the layer "features" of `torch_twin.keras_net` returns, and the gradient of each sample's logit there."""
    head = keras.Sequential([keras.Input((9, 7, 2)), *model.layers[:2]])
    tail = keras.Sequential([keras.Input((5, 3, 5)), *model.layers[2:]])
    features = head(x)

    def total(points: list) -> Any:
        return ops.sum(ops.take_along_axis(tail(points[0]), ops.convert_to_tensor(np.array(classes)[:, None]), axis=1))

    return ops.convert_to_numpy(features), ops.convert_to_numpy(gradients(total, [features])[0])
