"""A linear map with a bias, as the rules of relevance see it: its sum, and the sums of parts of its weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops


@dataclass(frozen=True)
class LinearMap:
    """z = s (W x) + b.   W: weights, s: a factor per output (of a batch normalization after it), b: bias.

    Attributes:
        apply: function from an input and an elementwise change of the weights to change(W) x, without s and b.
        raw: W x, a tensor that gradients flow through.
        bias: b, broadcasts to z; None for none.
        scale: s, broadcasts to z; None for 1.

    >>> weights, x = np.float32([[2.0], [-3.0]]), np.float32([[1.0, 1.0]])
    >>> linear = LinearMap(lambda x, change: x @ change(weights), x @ weights)
    >>> np.asarray(linear.total()).tolist(), np.asarray(linear.positive(x)).tolist()
    ([[-1.0]], [[2.0]])
    """

    apply: Callable[[Any, Callable[[Any], Any]], Any]
    raw: Any
    bias: Any = None
    scale: Any = None

    def total(self) -> Any:
        """s W x."""
        return self._scaled(self.raw)

    def plain(self, x: Any) -> Any:
        """s W x of another input."""
        return self._scaled(self.apply(x, lambda weights: weights))

    def positive(self, x: Any) -> Any:
        """(s W)⁺ x, with the weights that are above zero."""
        return self._signed(self.apply(x, _above), lambda: self.apply(x, _below))

    def negative(self, x: Any) -> Any:
        """(s W)⁻ x, with the weights that are below zero."""
        return self._signed(self.apply(x, _below), lambda: self.apply(x, _above))

    def absolute(self, x: Any) -> Any:
        """|s W| x."""
        found = self.apply(x, ops.abs)
        return found if self.scale is None else found * ops.abs(self.scale)

    def squared(self, x: Any) -> Any:
        """(s W)² x."""
        found = self.apply(x, ops.square)
        return found if self.scale is None else found * ops.square(self.scale)

    def even(self, x: Any) -> Any:
        """1 x, with every weight one."""
        return self.apply(x, ops.ones_like)

    def _scaled(self, found: Any) -> Any:
        return found if self.scale is None else found * self.scale

    def _signed(self, same: Any, other: Callable[[], Any]) -> Any:
        """A negative factor turns weights below zero into weights above it."""
        if self.scale is None:
            return same
        return ops.where(self.scale > 0, same, other()) * self.scale


def _above(weights: Any) -> Any:
    return ops.maximum(weights, 0)


def _below(weights: Any) -> Any:
    return ops.minimum(weights, 0)
