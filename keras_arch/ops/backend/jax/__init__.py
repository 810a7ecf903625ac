"""Kernels that need JAX itself. It is imported when they run."""
