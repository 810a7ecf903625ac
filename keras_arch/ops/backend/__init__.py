"""Kernels that need more of a backend than keras.ops offers."""

import importlib
from types import ModuleType

import keras


def kernels(name: str) -> ModuleType:
    """The module of this name for the backend that Keras runs on, for what all of those with gradients have.

    Args:
        name: of a module that the folders of TensorFlow, JAX and PyTorch have.
    Raises:
        RuntimeError: on a backend without gradients.

    >>> kernels("gradients").__name__.startswith("keras_arch.ops.backend.")
    True
    """
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax", "torch"):
        raise RuntimeError(
            f"{name} need a backend with gradients; received {backend!r}. "
            "Set KERAS_BACKEND to tensorflow, torch or jax before Keras is imported."
        )
    return importlib.import_module(f"keras_arch.ops.backend.{backend}.{name}")
