"""Regularizers that Keras lacks, for any `kernel_regularizer`."""

from keras_arch.regularizers.get import get
from keras_arch.regularizers.group_lasso import GroupLasso

__all__ = ["GroupLasso", "get"]
