"""Optional packages and upper rooms, imported only when they are used."""

import importlib
import importlib.util
from types import ModuleType


def available(package: str) -> bool:
    """Say whether an optional package can be imported, without importing it.

    >>> available("json"), available("no_such_package")
    (True, False)
    """
    return importlib.util.find_spec(package) is not None


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    Args:
        module: dotted module name, such as "sklearn.datasets".
        extra: the extra of keras-arch that installs it.
        purpose: what it is needed for, for the error.
    Raises:
        ImportError: if the package is missing, in one line with the install command.

    >>> require("json", extra="demo", purpose="reading").__name__
    'json'
    """
    package = module.split(".")[0]
    if not available(package):
        raise ImportError(
            f"{purpose} needs the package {package!r}. Install it with: pip install 'keras-arch[{extra}]'"
        )
    return importlib.import_module(module)


def room(name: str) -> ModuleType:
    """Open a room of keras_arch at call time: how a result draws itself without importing upwards.

    Results (`Attribution`, the reports) stand below `plots`; their `.plot()` is a convenience that calls the
    function a user would call, and this is the only way from below to above.

    >>> room("core").__name__
    'keras_arch.core'
    """
    return importlib.import_module(f"keras_arch.{name}")
