"""Other libraries' interfaces over keras_arch's own work, for those who come from them.

Nothing else in the package imports this room; its parts are imported when they are first used.
"""

import importlib
from types import ModuleType

__all__ = ["tf_explain"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"keras_arch.interop.{name}")
    raise AttributeError(f"module 'keras_arch.interop' has no attribute {name!r}; it has {', '.join(__all__)}")
