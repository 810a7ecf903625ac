"""Keras callbacks: what keras_arch does while `fit` runs."""

from keras_arch.callbacks.clustering import Clustering
from keras_arch.callbacks.explanations import Explanations
from keras_arch.callbacks.lsuv import LSUV
from keras_arch.callbacks.pruning import Pruning
from keras_arch.callbacks.quantization_aware_training import QuantizationAwareTraining

__all__ = ["LSUV", "Clustering", "Explanations", "Pruning", "QuantizationAwareTraining"]
