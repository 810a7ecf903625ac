"""Which tensors are the model's input, moved and rescaled, for the rules that look at the input itself."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import ops

L = keras.layers
MOVES = (
    *(L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D, L.Cropping1D, L.Cropping2D, L.Cropping3D),
    *(L.Flatten, L.Permute, L.Reshape),
)
RESCALES = (L.Normalization, L.Rescaling)


@dataclass(frozen=True)
class Origin:
    """A tensor that is an input of the model, apart from layers that only move or rescale its numbers.

    Attributes:
        value: the tensor.
        share: ones where a number of the input is, zeros where a layer padded; relevance flows back through it.
        low: the least that each number can be, where a rule asks.
        high: the largest.
    """

    value: Any
    share: Any
    low: Any = None
    high: Any = None

    def through(self, layer: keras.Layer, call: Callable[[Any], Any]) -> "Origin | None":
        """The same after a layer, or None for a layer that does more than move and rescale.

        Args:
            layer: any layer.
            call: what it computes.

        >>> origin = Origin(ops.ones((1, 2)), ops.ones((1, 2)), low=ops.zeros((1, 2)), high=ops.ones((1, 2)))
        >>> keras.ops.convert_to_numpy(origin.through(layer := keras.layers.Rescaling(1.0, 3.0), layer).low).tolist()
        [[3.0, 3.0]]
        """
        if not isinstance(layer, MOVES + RESCALES):
            return None
        bounds = {name: None if bound is None else call(bound) for name, bound in self._bounds().items()}
        share = call(self.share) if isinstance(layer, MOVES) else self.share
        return replace(self, value=call(self.value), share=share, **bounds)

    def standing_for(self, tensor: Any) -> "Origin":
        """The same, of a tensor with the same value."""
        return replace(self, value=tensor)

    def cast(self, tensor: Any) -> "Origin":
        """The same after a cast to the dtype of `tensor`."""
        bounds = {
            name: None if bound is None else ops.cast(bound, tensor.dtype) for name, bound in self._bounds().items()
        }
        return replace(self, value=tensor, share=ops.cast(self.share, tensor.dtype), **bounds)

    def _bounds(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}


def bound(leaf: Any, value: Any) -> Any:
    """A bound for every number of an input.

    Args:
        leaf: the input, (N, ...).
        value: a number, or one for each index of the last axis.
    """
    return ops.ones_like(leaf) * ops.convert_to_tensor(value, dtype=leaf.dtype)
