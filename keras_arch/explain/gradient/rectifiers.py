"""A model whose ReLU pass back another gradient, for the time of one pass."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_arch.core import check, tap, walk
from keras_arch.ops.rectifier import BACKWARD, plain_rectifiers, rectify

# Upper end of each function that is a rectifier.
_FUNCTIONS = (
    (keras.activations.relu, None),
    (keras.activations.relu6, 6.0),
    (keras.ops.relu, None),
    (keras.ops.relu6, 6.0),
)


@dataclass(frozen=True)
class Rectifiers:
    """Amendment of a `Probe`: inside the block every ReLU of the model passes back another gradient.

    Replaced are `keras.layers.ReLU` with its upper end and threshold; each attribute of a layer, such as
    `activation`, that is `relu` or `relu6` of keras.activations or keras.ops; and the nodes that these functions make
    in a functional model. Leaky units, PReLU and other activations keep their own gradient.

    Args:
        backward: "guided" or "deconvnet", see `keras_arch.ops.rectifier.rectify`.
    Raises:
        ValueError: at the end of the block, if a ReLU ran that is none of these, such as one that a `call` of your own
            makes by hand.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="relu")])
    >>> with Rectifiers("guided")(model):
    ...     model.layers[0].activation is keras.activations.relu
    False
    >>> model.layers[0].activation is keras.activations.relu
    True
    """

    backward: str

    def __post_init__(self) -> None:
        check.one_of("backward", self.backward, BACKWARD)

    @contextlib.contextmanager
    def __call__(self, model: keras.Model) -> Iterator[None]:
        """The block inside which the model runs."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(tap.LOCK)
            for layer in (model, *(layer for _, layer in walk.walk(model))):
                self._replace(layer, stack)
            missed = stack.enter_context(plain_rectifiers())
            yield
            stack.close()  # completes the list
            if missed:
                raise ValueError(
                    "model must run each ReLU as a keras.layers.ReLU, or as an activation or other attribute of a "
                    f"layer, to pass back another gradient; {len(missed)} more ran: {', '.join(missed[:3])}. In a "
                    "call of your own make it a layer: self.relu = keras.layers.ReLU() in __init__."
                )

    def _replace(self, layer: keras.Layer, stack: contextlib.ExitStack) -> None:
        around = self._around(layer)
        if around is not None:
            stack.enter_context(tap.intercept(layer, around))
        for name, value in list(vars(layer).items()):
            for function, highest in _FUNCTIONS:
                if value is function:
                    stack.enter_context(tap.replaced(layer, **{name: self._activation(function, highest)}))
        for operation in getattr(layer, "operations", ()):
            if _is_rectifier(operation):
                slope = getattr(operation, "negative_slope", 0.0)
                highest = 6.0 if type(operation).__name__ == "Relu6" else getattr(operation, "max_value", None)
                call = self._activation(operation.call, highest, slope, getattr(operation, "threshold", 0.0))
                stack.enter_context(tap.replaced(operation, call=call))

    def _around(self, layer: keras.Layer) -> Callable[..., Any] | None:
        """What runs in place of the call of a layer that is a rectifier or a leaky unit."""
        if isinstance(layer, keras.layers.PReLU):
            return lambda _, x: _leaky(x, ops.convert_to_tensor(layer.alpha))
        if isinstance(layer, keras.layers.ReLU):
            change = _leaky if layer.negative_slope else self._rectified
            return lambda _, x: change(x, layer.negative_slope, layer.max_value, layer.threshold)
        return None

    def _activation(
        self, original: Callable, highest: float | None, slope: float = 0.0, start: float = 0.0
    ) -> Callable[..., Any]:
        """What stands in for a function: other threads, which may run the same layers, get the function itself."""
        owner = threading.get_ident()

        def activation(
            x: Any, negative_slope: float = slope, max_value: float | None = highest, threshold: float = start
        ) -> Any:
            if threading.get_ident() != owner:
                own = (negative_slope, max_value, threshold) == (slope, highest, start)
                return original(x) if own else original(x, negative_slope, max_value, threshold)
            change = _leaky if negative_slope else self._rectified
            return change(x, negative_slope, max_value, threshold)

        return activation

    def _rectified(self, x: Any, slope: float, max_value: float | None, threshold: float) -> Any:
        return rectify(ops.convert_to_tensor(x), self.backward, max_value, threshold)


def _is_rectifier(operation: Any) -> bool:
    """Nodes that `ops.relu`, `ops.relu6` and `activations.relu` make have private classes, named so in Keras 3.15."""
    return type(operation).__name__ in ("Relu", "Relu6", "ReLU") and not isinstance(operation, keras.Layer)


def _leaky(x: Any, slope: Any, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """A leaky unit with its own gradient, without an operation that is a ReLU."""
    x = ops.convert_to_tensor(x)
    y = ops.where(x > threshold, x, ops.cast(slope, x.dtype) * (x - threshold))
    return y if max_value is None else ops.minimum(y, ops.cast(max_value, x.dtype))
