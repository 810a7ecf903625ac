"""Which scheme each layer of a model has."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_arch.compression.quantization.scheme import Scheme, as_scheme
from keras_arch.core import check
from keras_arch.core.walk import find, path_of, walk

Overrides = Mapping[str, Any] | Callable[[str, keras.Layer], Any] | None


class Schemes:
    """The schemes of kernels and activations, by the path of a layer.

    Args:
        model: the model that is quantized.
        weights: scheme of all kernels but those of `overrides`.
        activations: scheme of all activations but those of `overrides`.
        overrides: see `compression.quantize`.
    Raises:
        ValueError: for a name that matches nothing, or a value that is no bits, scheme or pair.

    >>> from keras_arch.compression.quantization.overrides import Schemes
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="head")])
    >>> schemes = Schemes(model, as_scheme("weights", 8), as_scheme("activations", 8), {"head": (4, 16)})
    >>> [scheme.bits for scheme in schemes.of("head")], [scheme.bits for scheme in schemes.of("body")]
    ([4, 16], [8, 8])
    """

    def __init__(self, model: keras.Model, weights: Scheme, activations: Scheme, overrides: Overrides = None) -> None:
        self.default = (weights, activations)
        self.own: dict[str, tuple[Scheme, Scheme]] = {}
        if overrides is None:
            return
        if callable(overrides):
            given = {path: overrides(path, layer) for path, layer in walk(model)}
        elif isinstance(overrides, Mapping):
            given = {path_of(model, find(model, name, "overrides")): value for name, value in overrides.items()}
        else:
            rule = "must map names of layers to bits or schemes, or be a callable (path, layer) -> value"
            raise check.refuse("overrides", rule, overrides, "Pass for example {'head': 4}.")
        self.own = {path: self._pair(path, value) for path, value in given.items() if value is not None}

    def of(self, path: str) -> tuple[Scheme, Scheme]:
        """(weights, activations) of the layer at a path: its own, or those of the innermost layer it is part of."""
        parts = path.split("/")
        for end in range(len(parts), 0, -1):
            found = self.own.get("/".join(parts[:end]))
            if found is not None:
                return found
        return self.default

    def _pair(self, path: str, value: Any) -> tuple[Scheme, Scheme]:
        pair = value if isinstance(value, tuple) else (value, None)
        if len(pair) != 2:
            advice = "Pass bits, a Scheme, or (weights, activations)."
            raise check.refuse(f"overrides[{path!r}]", "must have two entries as a tuple", value, advice)
        return tuple(
            default if part is None else as_scheme(argument, part)
            for argument, part, default in zip(("weights", "activations"), pair, self.default, strict=True)
        )
