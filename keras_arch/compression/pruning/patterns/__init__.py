"""Patterns: which weights can only go together."""

from keras_arch.compression.pruning.patterns.unstructured import Unstructured

__all__ = ["Unstructured"]
