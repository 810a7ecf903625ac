"""Reading and replacing what a layer computes, for the time of one forward pass."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras

LOCK = threading.RLock()


@contextlib.contextmanager
def replaced(owner: Any, **attributes: Any) -> Iterator[None]:
    """Give an object other attributes inside the `with` block, and its own back always.

    They are set past the object's own `__setattr__`, where Keras would track or refuse them.

    Args:
        owner: any object with a `__dict__`, such as a layer.
        **attributes: name and value of each.

    >>> layer = keras.layers.Dense(1, activation="relu")
    >>> with replaced(layer, activation=abs):
    ...     print(layer.activation(-2))
    2
    >>> layer.activation.__name__
    'relu'
    """
    own = {name: owner.__dict__[name] for name in attributes if name in owner.__dict__}
    try:
        for name, value in attributes.items():
            object.__setattr__(owner, name, value)
        yield
    finally:
        for name in attributes:
            if name in own:
                object.__setattr__(owner, name, own[name])
            elif name in owner.__dict__:
                object.__delattr__(owner, name)


@contextlib.contextmanager
def intercept(layer: keras.Layer, around: Callable[..., Any]) -> Iterator[None]:
    """Let `around` run in place of the layer's `call` inside the `with` block, and restore the layer always.

    Only calls made by the thread that opened the block are taken over; blocks of several threads take turns.

    Args:
        layer: any layer, at any depth of a model.
        around: function `(original, *args, **kwargs)` that returns the output; `original` is the layer's own `call`.

    >>> layer = keras.layers.Identity()
    >>> with intercept(layer, lambda original, inputs: original(2 * inputs)):
    ...     print(float(layer(np.ones(()))))
    2.0
    """
    owner = threading.get_ident()

    def wrap(original: Callable) -> Callable:
        def call(*args, **kwargs) -> Any:
            mine = threading.get_ident() == owner
            return around(original, *args, **kwargs) if mine else original(*args, **kwargs)

        return call

    with LOCK:
        # A layer with an integer dtype policy is called through `quantized_call`.
        names = [name for name in ("call", "quantized_call") if hasattr(layer, name)]
        with replaced(layer, **{name: wrap(getattr(layer, name)) for name in names}):
            yield


@contextlib.contextmanager
def tap(layer: keras.Layer, change: Callable[[Any], Any]) -> Iterator[None]:
    """Pass what `layer` returns through `change` inside the `with` block, and restore the layer always.

    Args:
        layer: any layer, at any depth of a model.
        change: function from the layer's output to what takes its place.

    >>> layer = keras.layers.Identity()
    >>> with tap(layer, lambda output: output + 1):
    ...     print(float(layer(np.ones(()))))
    2.0
    >>> print(float(layer(np.ones(()))))
    1.0
    """
    with intercept(layer, lambda original, *args, **kwargs: change(original(*args, **kwargs))):
        yield
