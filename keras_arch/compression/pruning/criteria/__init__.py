"""Criteria: how much each weight matters."""

from keras_arch.compression.pruning.criteria.magnitude import Magnitude

__all__ = ["Magnitude"]
