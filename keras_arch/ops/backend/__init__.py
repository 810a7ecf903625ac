"""Kernels that need more of a backend than keras.ops offers."""
