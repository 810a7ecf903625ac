"""Keras callbacks: what keras_arch does while `fit` runs."""

from keras_arch.callbacks.explanations import Explanations
from keras_arch.callbacks.pruning import Pruning

__all__ = ["Explanations", "Pruning"]
