"""Checks for whoever writes layers, initializers, regularizers and constraints: one call asks all that matters."""

from keras_arch.testing.check_cell import check_cell
from keras_arch.testing.check_constraint import check_constraint
from keras_arch.testing.check_initializer import check_initializer
from keras_arch.testing.check_layer import CHECK_NAMES, check_layer
from keras_arch.testing.check_regularizer import check_regularizer
from keras_arch.testing.layer.check import LayerReport
from keras_arch.testing.saved_models import check_saved_models

__all__ = [
    "CHECK_NAMES",
    "LayerReport",
    "check_cell",
    "check_constraint",
    "check_initializer",
    "check_layer",
    "check_regularizer",
    "check_saved_models",
]
