"""Kernels that need PyTorch itself. It is imported when they run."""
