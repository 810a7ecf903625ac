"""Initializers that Keras lacks, for any `kernel_initializer`."""

from keras_arch.initializers.delta_orthogonal import DeltaOrthogonal
from keras_arch.initializers.get import get

__all__ = ["DeltaOrthogonal", "get"]
