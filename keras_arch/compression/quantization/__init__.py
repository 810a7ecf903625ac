"""Quantization: train with integer arithmetic in mind, then write the integer model."""

from keras_arch.compression.quantization import observers
from keras_arch.compression.quantization.layer import Placement, QuantizedLayer
from keras_arch.compression.quantization.measure import measure
from keras_arch.compression.quantization.phase import set_phase

__all__ = ["Placement", "QuantizedLayer", "measure", "observers", "set_phase"]
