"""Calls of JAX's ReLU functions."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def listed(found: list[str]) -> Iterator[None]:
    """Add a name for each call that this thread makes inside the block, Keras's own calls included.

    Args:
        found: filled call by call.
    """
    import jax

    owner = threading.get_ident()
    own = {name: getattr(jax.nn, name) for name in ("relu", "relu6")}

    def noting(name: str) -> Callable:
        def noted(x: object) -> object:
            if threading.get_ident() == owner:
                found.append(f"jax.nn.{name}")
            return own[name](x)

        return noted

    try:
        for name in own:
            setattr(jax.nn, name, noting(name))
        yield
    finally:
        for name, function in own.items():
            setattr(jax.nn, name, function)
