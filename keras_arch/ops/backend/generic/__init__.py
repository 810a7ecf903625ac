"""Kernels in keras.ops for the backends that have none of their own."""
