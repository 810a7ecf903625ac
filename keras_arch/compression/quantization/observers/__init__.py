"""Observers: how the range of a tensor is measured, and how the ranges of many batches become one."""

from keras_arch.compression.quantization.observers.learned_step import LearnedStep
from keras_arch.compression.quantization.observers.min_max import MinMax
from keras_arch.compression.quantization.observers.moving_average import MovingAverage
from keras_arch.compression.quantization.observers.mse import MSE
from keras_arch.compression.quantization.observers.percentile import Percentile

__all__ = ["MSE", "LearnedStep", "MinMax", "MovingAverage", "Percentile"]
