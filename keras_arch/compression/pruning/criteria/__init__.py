"""Criteria: how much each weight matters."""

from keras_arch.compression.pruning.criteria.batch_norm_scale import BatchNormScale
from keras_arch.compression.pruning.criteria.magnitude import Magnitude
from keras_arch.compression.pruning.criteria.movement import Movement
from keras_arch.compression.pruning.criteria.random import Random
from keras_arch.compression.pruning.criteria.relevance import Relevance
from keras_arch.compression.pruning.criteria.snip import SNIP
from keras_arch.compression.pruning.criteria.taylor import Taylor

__all__ = ["SNIP", "BatchNormScale", "Magnitude", "Movement", "Random", "Relevance", "Taylor"]
