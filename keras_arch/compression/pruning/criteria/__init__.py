"""Criteria: how much each weight matters."""

from keras_arch.compression.pruning.criteria.magnitude import Magnitude
from keras_arch.compression.pruning.criteria.random import Random

__all__ = ["Magnitude", "Random"]
