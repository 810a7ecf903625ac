"""Kernels with gradients of their own, in TensorFlow."""
