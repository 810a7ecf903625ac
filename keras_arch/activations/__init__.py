"""Activations that Keras lacks, for any `activation` argument."""

from keras_arch.activations.get import get
from keras_arch.activations.lisht import lisht
from keras_arch.activations.snake import snake
from keras_arch.activations.squared_relu import squared_relu

__all__ = ["get", "lisht", "snake", "squared_relu"]
