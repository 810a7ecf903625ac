"""Patterns: which weights can only go together."""

from keras_arch.compression.pruning.patterns.block import Block
from keras_arch.compression.pruning.patterns.channel import Channel
from keras_arch.compression.pruning.patterns.head import Head
from keras_arch.compression.pruning.patterns.nm import NM
from keras_arch.compression.pruning.patterns.unstructured import Unstructured

__all__ = ["NM", "Block", "Channel", "Head", "Unstructured"]
