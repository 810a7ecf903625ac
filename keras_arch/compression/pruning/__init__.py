"""Pruning: which weights go, when, and how zeros stay zeros."""

from keras_arch.compression.pruning import criteria, patterns
from keras_arch.compression.pruning.pruner import Pruner, prune
from keras_arch.compression.pruning.shrink import shrink, shrink_report

__all__ = ["Pruner", "criteria", "patterns", "prune", "shrink", "shrink_report"]
