"""keras_arch: building blocks, compression and explanations for Keras 3 models.

Importing the package registers every serialisable class and function, so that `keras.saving.load_model` knows them.
Rooms that only draw, write or check are imported when they are first used.
"""

import importlib
from types import ModuleType

from keras_arch import activations, callbacks, compression, constraints, explain, initializers, layers, regularizers

__version__ = "0.1.0"
__all__ = [
    "activations",
    "callbacks",
    "compression",
    "constraints",
    "distribution",
    "explain",
    "initializers",
    "interop",
    "layers",
    "ops",
    "plots",
    "regularizers",
    "report",
    "tensorboard",
    "testing",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"keras_arch.{name}")
    raise AttributeError(f"module 'keras_arch' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
