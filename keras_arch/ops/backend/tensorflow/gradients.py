"""Gradients by a tape."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def gradients(function: Callable[[list], Any], points: list) -> list:
    """What `ops.gradients.gradients` computes.

    Args:
        function: from tensors like `points` to a scalar.
        points: float tensors or variables.
    Returns:
        One dense tensor for each point, None where the scalar does not depend on it.
    """
    points = [tf.convert_to_tensor(point) for point in points]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(points)
        value = function(points)
    found = tape.gradient(value, points)
    return [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in found]  # slices of embeddings
