"""Observers: how the range of a tensor is measured, and how the ranges of many batches become one."""

from keras_arch.compression.quantization.observers.min_max import MinMax
from keras_arch.compression.quantization.observers.moving_average import MovingAverage

__all__ = ["MinMax", "MovingAverage"]
